"""The world of a table's own rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks.replay.rows import rows_of
from benchmarks.replay.table import Curve, Table, key_of
from hw2tune.search.design import Features
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study


class Pool:
    """The rows of a table, or some of them. A search sees one seed, and is scored by others."""

    scored: frozenset[int] | None = None

    def __init__(self, table: Table, rows: str = "all") -> None:
        self.table, self.task, self.seen = table, table.task, 0
        self.rows = rows_of(table, rows)
        self.trials = len(self.rows)
        self.configurations = {row: table.configurations[row] for row in self.rows}
        self.features_of = Features(self.task.study.search_space)
        self.features = self.features_of(list(self.configurations.values()))
        self.row_of = {key_of(one): row for row, one in reversed(self.configurations.items())}

    def begin(self, seed: int) -> None:
        """A search begins: all of its trainings are on one seed, as those of a study are."""
        self.seen = seed % self.task.everywhere

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return PoolSampler(study, inner, self)

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve:
        return self.table.curves[self.row_of[key_of(configuration)], self.seen]

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.table.scores(self.seen)[self.row_of[key_of(configuration)]]

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return self.table.epoch_seconds(configuration)

    def nearest(self, configuration: Mapping[str, Value], taken: Collection[str]) -> str:
        """The row that is most like it, of those that are not taken."""
        order = np.argsort(((self.features - self.features_of([configuration])[0]) ** 2).sum(1), kind="stable")
        return next(row for row in map(self.rows.__getitem__, order) if row not in taken)

    @cached_property
    def typical_seconds(self) -> float:
        """An epoch's, the median over the rows."""
        return float(np.median([self.seconds(one) for one in self.configurations.values()]))

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """The best of the rows that were repeated, as one training's luck is no quality; the median of all."""
        scores = [{row: self.table.scores(seed)[row] for row in self.rows} for seed in range(self.task.everywhere)]
        repeated = [row for row in self.rows if row in self.table.repeated and row.isdigit()] or self.rows
        best = max(float(np.mean([one[row] for one in scores])) for row in repeated)
        return best, float(np.median([value for one in scores for value in one.values()]))


class PoolSampler(BaseSampler):
    """What `inner` draws, as the nearest configuration that no trial has had; a draw that is repeated frees its own."""

    def __init__(self, study: Study, inner: BaseSampler, pool: Pool) -> None:
        self.study, self.inner, self.pool = study, inner, pool
        self.relative: dict[int, dict[str, Any]] = {}
        self.chosen: dict[int, str] = {}  # the row
        self.taken = {pool.row_of[key_of(one)] for one in study.references.values()}

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> Any:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
        if (again := self.chosen.pop(trial.number, None)) is not None:
            self.taken.remove(again)
        self.relative[trial.number] = self.inner.sample_relative(study, trial, search_space)
        return {}

    def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if trial.number not in self.chosen:
            draws = _Draws(self.inner, study, trial, self.relative.get(trial.number, {}))
            row = self.pool.nearest(self.study.search_space.suggest(draws), self.taken)
            self.taken.add(row)
            self.chosen[trial.number] = row
        return self.study.search_space.encode(self.pool.configurations[self.chosen[trial.number]])[param_name]


class _Draws:
    """What a sampler would suggest, without that a trial hears of it."""

    def __init__(self, inner: BaseSampler, study: optuna.Study, trial: Any, relative: dict[str, Any]) -> None:
        self.inner, self.study, self.trial, self.relative = inner, study, trial, relative

    def _draw(self, name: str, distribution: Any) -> Any:
        if name in self.relative:
            return self.relative[name]
        return self.inner.sample_independent(self.study, self.trial, name, distribution)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return cast(float, self._draw(name, optuna.distributions.FloatDistribution(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return cast(int, self._draw(name, optuna.distributions.IntDistribution(low, high, step=step, log=log)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._draw(name, optuna.distributions.CategoricalDistribution(choices))
