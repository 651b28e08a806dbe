"""What `--warm-start` is worth where the other study's values lie elsewhere: `uv run python -m benchmarks.warm_start`.

Values are invented and nothing is trained. The other study has 24 trials of `tpe` on a landscape whose best learning
rate is twice as high; its values are then scaled and moved, as other images, sizes or numbers of epochs do. This study
has 24 trials, one at a time, with another study known or none. Minutes on one core (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy import stats

from benchmarks.failing import TASK
from benchmarks.results import print_table, write_results
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import Assignment, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.search.view import WARM_START, View

TRIALS, NOISE, OTHER_SEED = 24, 0.005, 1_000
Observations = list[dict[str, Any]]
MOVED = {  # the other study's values: scale, and what is added
    "as here": (1.0, 0.0), "0.2 higher": (1.0, 0.2), "0.2 lower": (1.0, -0.2),
}  # fmt: skip


class Raw(View):
    """A view that tells another study's values as they are."""

    def _warm(self, known: Sequence[float]) -> Any:
        return self.warm


def quality(one: Mapping[str, Any], best_rate: float) -> float:
    rate, decay = math.log10(one["learning_rate"] / best_rate), math.log10(one["weight_decay"] / 1e-4)
    batch = math.log2(one["batch_size"] / 64)
    return 0.9 - 0.04 * rate**2 - 0.005 * decay**2 - 0.01 * batch**2 - 0.05 * float((one["momentum"] - 0.8) ** 2)


def search(
    seed: int, *, view: type[View] = View, warm: Observations | None = None, best_rate: float = 1e-2
) -> tuple[Observations, float]:  # fmt: skip
    """One study's trials as another would know them, and the quality of the one that has the best value."""
    study = TASK.study.model_copy(update={"trials": TRIALS, "seed": seed, "references": {}})
    rng, found = np.random.default_rng(seed), Observations()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as root:
        folder = StudyFolder(Path(root))
        if warm is not None:
            (folder.root / WARM_START).write_text(json.dumps({"from": "other", "observations": warm}))
        optuna_study, tell = create_optuna_study(folder, study), Listeners()
        recorder = Recorder(study, optuna_study, folder, tell)
        recorder.view = view(study, optuna_study, recorder.view.warm)
        optuna_study.sampler, optuna_study.pruner = build_sampler(study, 0), build_pruner(study)
        driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
        while isinstance(given := driver.next(), Assignment):
            one = {name: given.hyperparameters[name] for name in study.space}
            found.append({"params": one, "value": quality(one, best_rate) + NOISE * rng.standard_normal()})
            record = {"epoch": 1, "validation_accuracy": found[-1]["value"], "epoch_seconds": 1.0}
            driver.epoch(given.trial, EpochResult(record=record, checkpoint=b""))
            driver.ended(given.trial, Outcome())
    best = max(found, key=lambda one: float(one["value"]))
    return found, quality(best["params"], best_rate)


def compare(seeds: int) -> list[dict[str, str]]:
    """Return a line for each way to know the other study: the quality found, and the gain over not knowing it."""
    others = [search(OTHER_SEED + seed, best_rate=2e-2)[0] for seed in range(seeds)]
    without = np.array([search(seed)[1] for seed in range(seeds)])
    lines = [{"other study": "none", "values": "", "best": f"{without.mean():.4f}", "gain": ""}]
    for moved, (scale, added) in MOVED.items():
        warm = [[one | {"value": scale * one["value"] + added} for one in other] for other in others]
        for values, view in (("as they are", Raw), ("standardised", View)):
            best = np.array([search(seed, view=view, warm=warm[seed])[1] for seed in range(seeds)])
            gain = best - without
            half = stats.t.ppf(0.975, seeds - 1) * gain.std(ddof=1) / seeds**0.5
            text = f"{gain.mean():+.4f} ({gain.mean() - half:+.4f} to {gain.mean() + half:+.4f})"
            line = {"other study": moved, "values": values, "best": f"{best.mean():.4f}"}
            lines.append(line | {"gain": text})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    seeds = parser.parse_args().seeds
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lines = compare(seeds)
    print_table(lines)
    write_results("warm-start", {"seeds": seeds, "lines": lines})


if __name__ == "__main__":
    main()
