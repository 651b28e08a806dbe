"""Wall time of a study in virtual order against the same in order of arrival, in simulated time.

    uv run python -m benchmarks.order [--searches 20] [--name order]

Halving stops at epochs 1, 3 and 9 of 12, as in the shipped studies, and a study begins 10 trials a worker, 20 at least
and 320 at most. A stop arrives with the next result, and a worker that has nothing to do waits. Studies of the same
seeds run in order of arrival, in virtual order with as many slots as workers, and with half as many again; a trial's
values and noise are those of its number, and its configuration that of the order's own draws. There are three worlds:
epochs that take as long as batch sizes do in `tables/mnist-5k.csv.gz`, epochs that all take as long, and epochs that
take four times as long with the smallest batches; each with a log-normal noise of 10 %.
"""

from __future__ import annotations

import argparse
import heapq
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import print_table, write_results
from hw2tune.events import Listeners
from hw2tune.loggers import optuna_silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import FailurePolicy
from hw2tune.search.ordered import OrderedDriver
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import parse_study
from hw2tune.study.schema import Study

WORKERS = (2, 4, 8, 64)
NOISE = 0.1  # standard deviation of the logarithm of an epoch's seconds
STUDY = """
name = "order"
dataset = "synthetic-mnist"
model = "mnist_cnn"
validation_size = 100
max_epochs = 12
sampler = "random"
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = [32, 64, 100, 128, 256]
optimizer = "sgd"
"""
BATCHES = (32, 64, 100, 128, 256)
WORLDS = {  # seconds of an epoch by batch size
    "measured": (1.32, 1.11, 1.10, 1.02, 0.937),
    "alike": (1.0,) * 5,
    "four to one": (2.0, 1.4, 1.0, 0.7, 0.5),
}


@dataclass(frozen=True)
class Simulated:
    """One study in simulated time."""

    seconds: float  # of all
    busy: float  # share of the workers' time that is spent training
    epochs: int  # that were trained
    dropped: int  # of them behind a stop


def simulate(root: Path, *, seed: int, workers: int, slots: int | None, world: str) -> Simulated:
    """Run a study with so many workers, in virtual order of `slots`, or of arrival with None."""
    study = _study(seed, max(20, min(10 * workers, 320)), slots)
    optuna_study, tell = create_optuna_study(StudyFolder(root), study), Listeners()
    recorder = Recorder(study, optuna_study, StudyFolder(root), tell)
    optuna_study.sampler, optuna_study.pruner = build_sampler(study, 0), build_pruner(study)
    kind = OrderedDriver if slots else StudyDriver
    driver = kind(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
    queue: list[tuple[float, int, int]] = []  # the time at which an epoch ends, its trial, the epoch
    drawn: dict[int, tuple[float, float]] = {}  # how good a trial's configuration is, and its seconds an epoch
    now, busy, epochs = 0.0, 0.0, 0

    def train(trial: int, epoch: int) -> None:
        nonlocal busy
        chance = np.random.default_rng([seed, trial, epoch])
        seconds = drawn[trial][1] * math.exp(NOISE * chance.standard_normal())
        busy += seconds
        heapq.heappush(queue, (now + seconds, trial, epoch))

    while True:
        while len(queue) < workers and isinstance(given := driver.next(), Assignment):
            chance = np.random.default_rng([seed, given.trial])
            seconds = WORLDS[world][BATCHES.index(int(given.hyperparameters["batch_size"]))]
            drawn[given.trial] = (float(chance.random()), seconds)
            train(given.trial, 1)
        if not queue:
            break
        now, trial, epoch = heapq.heappop(queue)
        epochs += 1
        if driver.epoch(trial, EpochResult(record=_record(drawn[trial][0], epoch), checkpoint=b"")) is Decision.STOP:
            driver.ended(trial, Outcome())
        else:
            train(trial, epoch + 1)
    return Simulated(now, busy / (now * workers), epochs, epochs - recorder.epochs_spent)


def _study(seed: int, trials: int, slots: int | None) -> Study:
    order = {"order": "virtual", "slots": slots} if slots else {}
    return parse_study(STUDY, "order.toml", {"seed": seed, "trials": trials} | order)


def _record(good: float, epoch: int) -> dict[str, float]:
    accuracy = good * (1 - 0.6**epoch)
    return {
        "epoch": epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
        "validation_accuracy": accuracy, "train_seconds": 1.0, "epoch_seconds": 1.0, "images_per_second": 1.0,
    }  # fmt: skip


def compared(workers: int, searches: int, world: str) -> list[dict[str, object]]:
    """Return a row for each way to order: wall time against arrival's, the mean over studies and its standard error."""
    slots = {"arrival": None, "slots = workers": workers, "slots = 1.5 workers": workers * 3 // 2}
    runs: dict[str, list[Simulated]] = {name: [] for name in slots}
    for seed in range(searches):
        for name, number in slots.items():
            with tempfile.TemporaryDirectory() as place:
                runs[name].append(simulate(Path(place), seed=seed, workers=workers, slots=number, world=world))
    rows = []
    for name, found in runs.items():
        ratios = [one.seconds / other.seconds - 1 for one, other in zip(found, runs["arrival"], strict=True)]
        rows.append({
            "epochs": world, "workers": workers, "order": name, "studies": searches,
            "more_seconds_percent": round(100 * statistics.mean(ratios), 1),
            "standard_error": round(100 * statistics.stdev(ratios) / math.sqrt(searches), 1),
            "busy_percent": round(100 * statistics.mean(one.busy for one in found), 1),
            "dropped_percent": round(
                100 * sum(one.dropped for one in found) / sum(one.epochs - one.dropped for one in found), 1
            ),
            "epochs_that_count": round(statistics.mean(one.epochs - one.dropped for one in found), 1),
        })  # fmt: skip
    return rows


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--name", default="order")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    with optuna_silenced():
        for world in WORLDS:
            for workers in WORKERS:
                some = compared(workers, max(3, options.searches // (1 + workers // 8)), world)
                print_table(some)
                rows += some
    write_results(options.name, {"noise": NOISE, "rows": rows})


if __name__ == "__main__":
    main()
