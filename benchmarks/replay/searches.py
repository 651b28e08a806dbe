"""One search in a world: what it would return behind each epoch."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.replay.forest import Forest
from benchmarks.replay.live import Live, LiveCurve
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Resuming, resumed
from benchmarks.replay.table import Curve, Found, Table
from benchmarks.search_tables import TASKS, Task
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study

MEMORY = "/dev/shm"  # where a study's folder costs nothing


class World(Protocol):
    """Where a search takes place."""

    task: Task

    def begin(self) -> None: ...
    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler: ...
    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve | LiveCurve: ...
    def score(self, configuration: Mapping[str, Value]) -> float: ...
    def seconds(self, configuration: Mapping[str, Value]) -> float: ...
    @property
    def typical_seconds(self) -> float: ...
    @property
    def best_and_median(self) -> tuple[float, float]: ...


@cache
def world(task: str, kind: str) -> World:
    """The task's pool, forest or trainings, once a process."""
    if kind == "live":
        return Live(TASKS[task])
    table = Table(TASKS[task])
    return Pool(table) if kind == "pool" else Forest(table)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A search: its sampler and pruner for a study and a seed, or what resumes in a pool."""

    build: Callable[[Study, int], tuple[BaseSampler, Any]] | None = None
    resuming: Callable[[Pool, int], Resuming] | None = None
    any_state: bool = True  # whether a trial that was stopped may be returned
    longer: int = 1  # it may spend so many times the budget, to see when it finds what others find
    needs: str = ""  # a package that is no dependency of ours; without it the contestant is left out


def search(place: World, contestant: Contestant, *, seed: int, epochs: int, workers: int) -> list[Found]:
    """One search: an entry a change of what it returns."""
    rng = np.random.default_rng(seed)
    if contestant.resuming is not None:
        assert isinstance(place, Pool)
        return resumed(place, contestant.resuming(place, seed), rng, budget=epochs, workers=workers)
    assert contestant.build is not None
    place.begin()
    study = place.task.study.model_copy(update={"trials": 100_000, "seed": seed})
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as root:
        folder = StudyFolder(Path(root) / "study")
        folder.root.mkdir()
        return search_in(folder, study, place, contestant, rng, seed=seed, epochs=epochs, workers=workers)


def search_in(
    folder: StudyFolder, study: Study, place: World, contestant: Contestant, rng: np.random.Generator, *, seed: int,
    epochs: int, workers: int,
) -> list[Found]:  # fmt: skip
    """One search, with its records in a folder."""
    assert contestant.build is not None
    optuna_study, tell = create_optuna_study(folder, study), Listeners()
    recorder = Recorder(study, optuna_study, folder, tell)
    recorder.enqueue_references()
    sampler, optuna_study.pruner = contestant.build(study, seed)
    optuna_study.sampler = place.sampler(study, sampler)
    driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
    return _run(place, contestant, driver, recorder, rng, epochs, workers)


def _run(
    place: World,
    contestant: Contestant,
    driver: StudyDriver,
    recorder: Recorder,
    rng: np.random.Generator,
    budget: int,
    workers: int,
) -> list[Found]:
    found: list[Found] = []
    queue: list[
        tuple[float, int, int, int, Curve | LiveCurve, float]
    ] = []  # time, tie, trial, epoch about to end, curve, seconds
    spent = ties = 0

    def give(now: float) -> None:
        nonlocal ties
        given = driver.next()
        if isinstance(given, Assignment):
            ties += 1
            each = place.seconds(given.hyperparameters)
            heapq.heappush(queue, (now + each, ties, given.trial, 1, place.curve(given.hyperparameters, rng), each))

    for _ in range(workers):
        give(0.0)
    while queue and spent < budget:
        now, tie, trial, epoch, curve, each = heapq.heappop(queue)
        spent += 1
        accuracy = curve.at(epoch)
        if accuracy is None:
            reason = f"diverged in epoch {epoch}"
            driver.ended(trial, Outcome(failure=Failure(state="diverged", reason=reason)))
            give(now)
            continue
        record = {
            "epoch": epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
            "validation_accuracy": accuracy, "train_seconds": each, "epoch_seconds": each, "images_per_second": 1.0,
        }  # fmt: skip
        verdict = driver.epoch(trial, EpochResult(record=record, checkpoint=b""))
        if verdict is Decision.CONTINUE:
            heapq.heappush(queue, (now + each, tie, trial, epoch + 1, curve, each))
        else:
            driver.ended(trial, Outcome())
            give(now)
        found.append(Found(epochs=spent, seconds=now, score=place.score(_pick(recorder.rows(), contestant))))
    return found


def _pick(rows: list[TrialRow], contestant: Contestant) -> dict[str, Value]:
    """The configuration of the best value, the first of equals."""
    there = [row for row in rows if row.value is not None]
    complete = [row for row in there if row.state == "complete"]
    return max(complete if complete and not contestant.any_state else there, key=lambda row: row.value or 0.0).params
