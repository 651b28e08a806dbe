"""A world where every epoch is trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.replay.pool import Pool
from benchmarks.replay.table import CHANCE, UNLIMITED, key_of, table_of
from benchmarks.search_tasks import Task, curve
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study

BUDGETS = (6, 12, 24)  # trainings behind which what is returned is scored: scoring trains
FRESH, FRESH_FROM = 3, 1_000_000  # seeds of what a search returns, counted from a number that no search has


class Live:
    """No table: every epoch is trained, on the search's own seed; what it returns at `BUDGETS` on `FRESH` others."""

    typical_seconds = 1.0
    trials = UNLIMITED

    def __init__(self, task: Task) -> None:
        self.task, self.seed = task, 0
        self.scored: frozenset[int] | None = frozenset(task.study.max_epochs * trainings for trainings in BUDGETS)
        self.curves: dict[Any, LiveCurve] = {}

    def begin(self, seed: int) -> None:
        """A search begins; what another has trained is not known to it."""
        self.curves, self.seed = {}, seed

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> LiveCurve:
        self.curves[key_of(configuration)] = LiveCurve(self.task, configuration, self.seed)
        return self.curves[key_of(configuration)]

    def score(self, configuration: Mapping[str, Value]) -> float:
        """Mean test accuracy on seeds that no search has seen."""
        one = self.curves[key_of(configuration)]
        if one.fresh is None:
            fresh = [LiveCurve(self.task, configuration, FRESH_FROM + FRESH * self.seed + n) for n in range(FRESH)]
            one.fresh = float(np.mean([again.to_its_end() for again in fresh]))
        return one.fresh

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return 1.0

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """Those of the table, where there is one."""
        return Pool(table_of(self.task.name)).best_and_median


class LiveCurve:
    """A training that goes on as far as it is asked for."""

    def __init__(self, task: Task, configuration: Mapping[str, Value], seed: int) -> None:
        self.task, self.epochs = task, curve(task, configuration, seed)
        self.seen: list[tuple[float, float]] = []  # validation and test accuracy
        self.fresh: float | None = None  # once it is known

    def at(self, epoch: int) -> float | None:
        """Validation accuracy at the next epoch; None where it diverges."""
        assert epoch == len(self.seen) + 1
        measured = next(self.epochs)
        if measured["validation_correct"] == "":
            return None
        self.seen.append((
            measured["validation_correct"] / self.task.validation_images,
            measured["test_correct"] / self.task.test_images,
        ))  # fmt: skip
        return self.seen[-1][0]

    def to_its_end(self) -> float:
        """Test accuracy of the epoch that validation chooses, the first of equals; chance where it diverges."""
        while len(self.seen) < self.task.study.max_epochs:
            if self.at(len(self.seen) + 1) is None:
                return CHANCE
        return max(self.seen, key=lambda pair: pair[0])[1]
