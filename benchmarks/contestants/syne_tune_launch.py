"""Syne Tune 0.16's local backend as its examples `launch_height_*.py` show it; each trial is a script of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform, uniform
from syne_tune.optimizer.baselines import RandomSearch

from benchmarks.contestants.tutorial import read_job


def main() -> None:
    job = read_job(sys.argv[1])
    space = {
        "learning_rate": loguniform(1e-4, 1e-1),
        "batch_size": choice([32, 64, 100, 128, 256]),
        "optimizer": choice(["sgd", "adam", "adamw"]),
        "momentum": uniform(0.0, 0.99),
        "weight_decay": uniform(0.0, 0.1),
        "job": str(Path(sys.argv[1]).absolute()),
    }
    constant = {"momentum": 0.0, "job": space["job"]}
    scheduler = RandomSearch(
        space,
        metrics=["accuracy"],
        do_minimize=False,
        random_seed=0,
        points_to_evaluate=[constant | configuration for configuration in job.configurations],
    )
    Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_tune_script.py"))),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=len(job.configurations)),
        n_workers=job.slots,
        wait_trial_completion_when_stopping=True,
    ).run()


if __name__ == "__main__":
    main()
