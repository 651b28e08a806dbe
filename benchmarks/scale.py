"""What a study costs its driver as it grows: `uv run python -m benchmarks.scale`.

The study's driver is called as Tune's adapters call it, for trials that train nothing: each reports epochs at once,
with a checkpoint of the real size, and ends as the pruner says. Everything of the driver's is written to disk; Ray
itself is omitted. `--actors` runs the whole of Tune, with an actor a slot that reports the same, an epoch a second: a
process each, so that memory limits how many. Measured: results a second, milliseconds a trial for each thousand trials
(of which CPU), the memory of the driver, and what `status` and reading all trials take afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.results import print_table, write_results
from hw2tune.data.load import load_dataset
from hw2tune.events import EpochFinished, Event, Listener, Listeners, TrialFinished
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.resources import ResourceRequest
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.schema import Study
from hw2tune.variables import settle

CHECKPOINT_BYTES = 285_565  # the MNIST network's with Adam
BLOCK = 1000  # trials


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, nargs="*", default=[1_000, 10_000])
    options.add_argument("--concurrency", type=int, nargs="*", default=[64, 512])
    options.add_argument("--actors", action="store_true", help="the whole of Ray Tune, an actor a slot")
    arguments = options.parse_args()
    found = []
    for trials in arguments.trials:
        for concurrency in arguments.concurrency:
            # A process each: memory is then the study's own.
            code = f"from benchmarks.scale import measured; measured({trials}, {concurrency}, {arguments.actors})"
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "RAY_USAGE_STATS_ENABLED": "0"}
            shown = subprocess.run(
                [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            found.append(json.loads(shown.stdout.splitlines()[-1]))
            print_table([_row(found[-1])])
    write_results("scale-actors" if arguments.actors else "scale", {"studies": found})


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """The first and the last block, and what is not a list."""
    blocks, memory = found["milliseconds_per_trial"], found["driver_mib"]
    ends = {"first ms/trial": blocks[0], "last ms/trial": blocks[-1], "driver MiB": max(memory)}
    return {key: value for key, value in found.items() if not isinstance(value, list)} | ends


def measured(trials: int, concurrency: int, actors: bool) -> None:
    """Runs one simulated study and prints what was found as JSON."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder = StudyFolder(Path(place) / "ray_results" / "quickstart")
        study = parse_study(*find_study("quickstart"), overrides={"trials": trials})
        folder.root.mkdir(parents=True)
        folder.study_file.write_text(dump_study(study))
        clock = Clock(min(BLOCK, trials // 4))
        (acted if actors else simulate)(study, folder, concurrency, clock)
        found = {
            "trials": trials,
            "concurrent": concurrency,
            "results_per_second": round(clock.results / sum(clock.seconds), 1),
            "milliseconds_per_trial": [round(1000 * seconds / clock.block, 2) for seconds in clock.seconds],
            "cpu_milliseconds_per_trial": [round(1000 * seconds / clock.block, 2) for seconds in clock.cpu_seconds],
            "last_over_first": round(clock.seconds[-1] / clock.seconds[0], 3),
            "driver_mib": clock.memory,
            "status_seconds": timed(place, "status", "quickstart"),
            "status_of_all_seconds": timed(place, "status"),
            "reopening_seconds": reopened(study, folder),
        }
    print(json.dumps(found))


class Clock:
    """Seconds, those of CPU, and this process's memory in MiB for every `block` trials, from the first result on."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.results = self.finished = 0
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.memory: list[int] = []

    def __call__(self, event: Event) -> None:
        """Hears of epochs and ends."""
        if isinstance(event, EpochFinished):
            self._epoch_finished()
        elif isinstance(event, TrialFinished):
            self._trial_finished()

    def _epoch_finished(self) -> None:
        """Counts a result."""
        if self.results == 0:
            self.since, self.cpu_since = time.perf_counter(), time.process_time()
        self.results += 1

    def _trial_finished(self) -> None:
        """Ends a block where it is full."""
        self.finished += 1
        if self.finished % self.block == 0:
            self.seconds.append(time.perf_counter() - self.since)
            self.cpu_seconds.append(time.process_time() - self.cpu_since)
            self.memory.append(psutil.Process().memory_info().rss // 2**20)
            self.since, self.cpu_since = time.perf_counter(), time.process_time()


def acted(study: Study, folder: StudyFolder, concurrency: int, clock: Clock) -> None:
    """The study as `hw2tune study` runs it, but for what its trials do and the number of CPUs that Ray believes in."""
    settle()
    import ray

    from benchmarks.contestants.simulated_trial import SimulatedTrial
    from hw2tune.execution.cluster import Cluster
    from hw2tune.execution.run import run_trials
    from hw2tune.execution.tune import run_tune

    data = load_dataset(study.dataset, validation_size=study.validation_size)
    ray.init("local", num_cpus=concurrency, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    cluster = Cluster(resources=ResourceRequest(gpus_per_trial=0))
    execute = partial(run_tune, trainable=SimulatedTrial)
    run_trials(study, folder=folder, data=data, cluster=cluster, tell=Listeners([clock]), execute=execute)
    ray.shutdown()


def simulate(study: Study, folder: StudyFolder, concurrency: int, listener: Listener) -> None:
    """The study without Ray: what calls the driver stands here."""
    optuna_study, tell = create_optuna_study(folder, study), Listeners([listener])
    recorder = Recorder(study, optuna_study, folder, tell)
    recorder.enqueue_references()
    optuna_study.sampler, optuna_study.pruner = build_sampler(study, 0), build_pruner(study)
    driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=2), tell=tell)
    chance = random.Random(0)
    content = os.urandom(CHECKPOINT_BYTES)
    known = digest(content)
    running: list[tuple[int, float, int]] = []  # trial, how good its configuration is, epochs so far
    while True:
        while len(running) < concurrency and isinstance(given := driver.next(), Assignment):
            running.append((given.trial, goodness(given.hyperparameters, chance), 0))
        if not running:
            return
        trial, good, epoch = running.pop(chance.randrange(len(running)))
        record = epoch_record(epoch + 1, good, chance) | {DIGEST: known}
        if driver.epoch(trial, EpochResult(record=record, checkpoint=content)) is Decision.CONTINUE:
            running.append((trial, good, epoch + 1))
        else:
            driver.ended(trial, Outcome(machine="a"))


def goodness(params: dict[str, Any], chance: random.Random) -> float:
    """A landscape with one best learning rate, so that sampler and pruner have something to find."""
    distance = abs(float(params["learning_rate"]) - 0.004) / 0.1
    return max(0.1, 0.95 - distance + chance.gauss(0, 0.02))


def epoch_record(epoch: int, good: float, chance: random.Random) -> dict[str, Any]:
    accuracy = good * (1 - 0.5**epoch) + chance.gauss(0, 0.005)
    return {
        "epoch": epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
        "validation_accuracy": accuracy, "train_seconds": 0.3, "epoch_seconds": 0.35, "images_per_second": 12_000.0,
    }  # fmt: skip


def timed(place: str, *command: str) -> float:
    """Seconds that a command takes as a whole process, the median of three."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hw2tune", *command], cwd=place, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), 2)


def reopened(study: Study, folder: StudyFolder) -> float:
    """Seconds until the same command would know that nothing is left to do."""
    started = time.perf_counter()
    recorder = Recorder(study, create_optuna_study(folder, study), folder, Listeners())
    assert not recorder.unfinished
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
