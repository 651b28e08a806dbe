"""One search in a world: what it would return behind each epoch."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler

from benchmarks.replay.forest import Forest
from benchmarks.replay.live import Live, LiveCurve
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Resuming, resumed
from benchmarks.replay.table import Curve, Found, table_of
from benchmarks.search_tasks import TASKS, Task
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.states import DIVERGED
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Sampler, Study

MEMORY = "/dev/shm"  # where a study's folder costs nothing


class World(Protocol):
    """Where a search takes place."""

    task: Task
    trials: int  # that a search can have
    scored: frozenset[int] | None  # epochs spent behind which a score is asked for; None: each

    def begin(self, seed: int) -> None: ...
    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler: ...
    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve | LiveCurve: ...
    def score(self, configuration: Mapping[str, Value]) -> float: ...
    def seconds(self, configuration: Mapping[str, Value]) -> float: ...
    @property
    def typical_seconds(self) -> float: ...
    @property
    def best_and_median(self) -> tuple[float, float]: ...


@cache
def world(task: str, kind: str, rows: str = "all") -> World:
    """The task's pool of these rows, forest or trainings, once a process."""
    if kind == "live":
        return Live(TASKS[task])
    return Pool(table_of(task), rows) if kind == "pool" else Forest(table_of(task))


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A search: its sampler and pruner for a study and a seed, or what resumes in a pool."""

    sampler: str = "random"  # what its study names; the recorder repeats draws of `tpe` that are likely to fail
    build: Callable[[Study, int], tuple[BaseSampler, Any]] | None = None
    resuming: Callable[[Pool, int], Resuming] | None = None
    longer: int = 1  # it may spend so many times the budget, to see when it finds what others find
    needs: str = ""  # a package that is no dependency of ours; without it the contestant is left out


def search(
    place: World, contestant: Contestant, *, seed: int, epochs: int, workers: int, landed: bool = False
) -> list[Found]:
    """One search: an entry for each epoch that is spent. One that is `landed` knows its budget, of whole trainings."""
    rng = np.random.default_rng(seed)
    place.begin(seed)
    if contestant.resuming is not None:
        assert isinstance(place, Pool)
        return resumed(place, contestant.resuming(place, seed), rng, budget=epochs, workers=workers)
    study = place.task.study.model_copy(update={"trials": place.trials, "seed": seed})
    if landed:
        study = next(one for one in _budgets(study, epochs) if one.budget_epochs == epochs)
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as root:
        folder = StudyFolder(Path(root) / "study")
        folder.root.mkdir()
        return search_in(folder, study, place, contestant, rng, seed=seed, epochs=epochs, workers=workers)


def _budgets(study: Study, epochs: int) -> Iterator[Study]:
    """The study with budgets of so many epochs and more: a part of one may be for the race."""
    return (study.model_copy(update={"budget": whole}) for whole in count(epochs // study.max_epochs))


def search_in(
    folder: StudyFolder, study: Study, place: World, contestant: Contestant, rng: np.random.Generator, *, seed: int,
    epochs: int, workers: int,
) -> list[Found]:  # fmt: skip
    """One search, with its records in a folder."""
    assert contestant.build is not None
    study = study.model_copy(update={"sampler": Sampler(name=contestant.sampler)})
    sampler, pruner = contestant.build(study, seed)
    if isinstance(pruner, NopPruner):  # its trials have no rungs
        study = study.model_copy(update={"pruner": study.pruner.model_copy(update={"name": "none"})})
    optuna_study, tell = create_optuna_study(folder, study), Listeners()
    recorder = Recorder(study, optuna_study, folder, tell)
    recorder.enqueue_references()
    optuna_study.sampler, optuna_study.pruner = place.sampler(study, sampler), pruner
    driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell, slots=workers)
    return _run(place, driver, rng, epochs, workers)


@dataclass(kw_only=True)
class _Running:
    """A trial that is being trained: the epoch that ends next, and its best value so far."""

    trial: int
    configuration: dict[str, Value]
    curve: Curve | LiveCurve
    seconds: float  # of an epoch
    epoch: int = 1
    value: float = -1.0
    diverged: bool = False


def _run(place: World, driver: StudyDriver, rng: np.random.Generator, budget: int, workers: int) -> list[Found]:
    """Trials in simulated time, as many at once as there are workers; the epoch in which one diverges is spent too."""
    found: list[Found] = []
    queue: list[tuple[float, int, _Running]] = []  # the time at which an epoch ends, and the trial's number
    trials: dict[int, _Running] = {}
    references, whole = len(driver.study.references), driver.study.max_epochs

    def give(now: float) -> None:
        while len(queue) < workers and isinstance(given := driver.next(), Assignment):
            if given.trial not in trials:  # the others go on behind a rung at which they have waited
                params, each = given.hyperparameters, place.seconds(given.hyperparameters)
                one = _Running(trial=given.trial, configuration=params, curve=place.curve(params, rng), seconds=each)
                trials[given.trial] = one
            one = trials[given.trial]
            heapq.heappush(queue, (now + one.seconds, one.trial, one))

    give(0.0)
    for spent in range(1, budget + 1):
        if not queue:
            break
        now, _, one = heapq.heappop(queue)
        if _goes_on(driver, one):
            heapq.heappush(queue, (now + one.seconds, one.trial, one))
        else:
            give(now)
        best = max((some for some in trials.values() if not some.diverged), key=lambda some: some.value, default=None)
        scored = place.scored is None or spent in place.scored
        if scored and best is not None and best.value >= 0:
            complete = sum(some.trial >= references and some.epoch > whole for some in trials.values())
            found.append(Found(epochs=spent, seconds=now, score=place.score(best.configuration), complete=complete))
    return found


def _goes_on(driver: StudyDriver, one: _Running) -> bool:
    """Train an epoch of a trial, tell the driver, and end the trial where that is due."""
    accuracy = one.curve.at(one.epoch)
    if accuracy is None:  # a training that diverges leaves no network
        one.diverged = True
        reason = f"diverged in epoch {one.epoch}"
        driver.ended(one.trial, Outcome(failure=Failure(state=DIVERGED, reason=reason)))
        return False
    record = {
        "epoch": one.epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
        "validation_accuracy": accuracy, "train_seconds": one.seconds, "epoch_seconds": one.seconds,
        "images_per_second": 1.0, DIGEST: digest(b""),
    }  # fmt: skip
    one.epoch, one.value = one.epoch + 1, max(one.value, accuracy)
    if driver.epoch(one.trial, EpochResult(record=record, checkpoint=b"")) is Decision.CONTINUE:
        return True
    driver.ended(one.trial, Outcome())
    return False
