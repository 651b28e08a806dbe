"""A world where every epoch is trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.replay.pool import Pool
from benchmarks.replay.table import SIZES, Table, key_of
from benchmarks.search_tables import Task, curve
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study


class Live:
    """No table: every epoch is trained. A search's own trainings are its score, so that one alone says little."""

    typical_seconds = 1.0

    def __init__(self, task: Task) -> None:
        self.task = task
        self.curves: dict[Any, LiveCurve] = {}

    def begin(self) -> None:
        """A search begins; what another has trained is not known to it."""
        self.curves = {}

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> LiveCurve:
        self.curves[key_of(configuration)] = LiveCurve(self.task, configuration)
        return self.curves[key_of(configuration)]

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.curves[key_of(configuration)].chosen

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return 1.0

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """Those of the table, where there is one."""
        return Pool(Table(self.task)).best_and_median


class LiveCurve:
    """A training that goes on as far as it is asked for. All searches train on the study's seed, as trials do."""

    def __init__(self, task: Task, configuration: Mapping[str, Value]) -> None:
        self.task, self.epochs = task, curve(task, configuration, seed=0)
        self.seen: list[tuple[float, float]] = []  # validation and test accuracy

    def at(self, epoch: int) -> float | None:
        """Validation accuracy at the next epoch; None where it diverges."""
        assert epoch == len(self.seen) + 1
        measured = next(self.epochs)
        if measured["validation_correct"] == "":
            return None
        validation, test = SIZES[self.task.name]
        self.seen.append((measured["validation_correct"] / validation, measured["test_correct"] / test))
        return self.seen[-1][0]

    @property
    def chosen(self) -> float:
        """Test accuracy of the epoch that validation chooses, the first of equals; 0 where there is none."""
        return max(self.seen, key=lambda pair: pair[0])[1] if self.seen else 0.0
