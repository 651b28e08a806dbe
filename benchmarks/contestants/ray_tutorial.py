"""Ray Tune as its PyTorch example shows it: function trainable, checkpoint with every report, ASHA, OptunaSearch.

Written after docs.ray.io, "How to use Tune with PyTorch" and "Running Tune experiments with Optuna". ASHA's grace
period is the whole training, so that every trial trains in full; all else is Ray's default.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.contestants.tutorial import Job, read_job
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Study


def train_model(config: dict[str, Any], job: Job) -> None:
    import torch

    from benchmarks.contestants.tutorial import train

    study = parse_study(*find_study(job.study))
    for accuracy, model, optimizer in train(study.search_space.decode(config), job):
        with tempfile.TemporaryDirectory() as folder:
            torch.save((model.state_dict(), optimizer.state_dict()), Path(folder) / "checkpoint.pt")
            tune.report({"accuracy": accuracy}, checkpoint=tune.Checkpoint.from_directory(folder))


def space(trial: Any, study: Study) -> None:
    study.search_space.suggest(trial)


def main() -> None:
    job = read_job(sys.argv[1])
    study = parse_study(*find_study(job.study))
    points = [study.search_space.encode(configuration) for configuration in job.configurations]
    search = OptunaSearch(
        functools.partial(space, study=study), metric="accuracy", mode="max", points_to_evaluate=points
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train_model, job=job), {"cpu": 1, "gpu": job.gpus_per_trial}),
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=search,
            scheduler=ASHAScheduler(max_t=job.epochs, grace_period=job.epochs, reduction_factor=2),
            num_samples=len(points),
        ),
        run_config=tune.RunConfig(name="ray-tutorial", storage_path=job.scratch),
    )
    tuner.fit()


if __name__ == "__main__":
    main()
