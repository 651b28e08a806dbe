"""The world of a table's own rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks.replay.table import Curve, Table, key_of
from hw2tune.search.design import Cube
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study


class Pool:
    """The table's own rows."""

    def __init__(self, table: Table) -> None:
        self.table, self.task = table, table.task
        self.rows = list(table.configurations)
        self.cube = Cube(self.task.study.search_space)
        self.features = self.cube.features(list(table.configurations.values()))
        self.row_of = {key_of(one): row for row, one in reversed(table.configurations.items())}

    def begin(self) -> None:
        """A table has no state."""

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return PoolSampler(study, inner, self)

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve:
        row = self.row_of[key_of(configuration)]
        seeds = [seed for r, seed in self.table.curves if r == row]
        return self.table.curves[row, seeds[rng.integers(len(seeds))]]

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.table.scores[self.row_of[key_of(configuration)]]

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return self.table.epoch_seconds(configuration)

    def nearest(self, configuration: Mapping[str, Value], taken: Collection[str]) -> str:
        """The row that is most like it, of those that are not taken."""
        order = np.argsort(((self.features - self.cube.features([configuration])[0]) ** 2).sum(1), kind="stable")
        return next(self.rows[i] for i in order if self.rows[i] not in taken)

    @cached_property
    def typical_seconds(self) -> float:
        """An epoch's, the median over the rows."""
        return float(np.median([self.seconds(one) for one in self.table.configurations.values()]))

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """The best of the rows that were repeated, as one training's luck is no quality; the median of all."""
        repeated = {row for row, seed in self.table.curves if seed > 0 and row.isdigit()} or set(self.rows)
        scores = self.table.scores
        return max(scores[row] for row in repeated), float(np.median(list(scores.values())))


class PoolSampler(BaseSampler):
    """What `inner` draws, as the nearest configuration that no trial has had."""

    def __init__(self, study: Study, inner: BaseSampler, pool: Pool) -> None:
        self.study, self.inner, self.pool = study, inner, pool
        self.relative: dict[int, dict[str, Any]] = {}
        self.chosen: dict[int, dict[str, Any]] = {}
        self.taken = {pool.row_of[key_of(one)] for one in study.references.values()}

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> Any:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
        self.relative[trial.number] = self.inner.sample_relative(study, trial, search_space)
        return {}

    def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if trial.number not in self.chosen:
            draws = _Draws(self.inner, study, trial, self.relative.get(trial.number, {}))
            row = self.pool.nearest(self.study.search_space.suggest(draws), self.taken)
            self.taken.add(row)
            self.chosen[trial.number] = self.study.search_space.encode(self.pool.table.configurations[row])
        return self.chosen[trial.number][param_name]


class _Draws:
    """What a sampler would suggest, without that a trial hears of it."""

    def __init__(self, inner: BaseSampler, study: optuna.Study, trial: Any, relative: dict[str, Any]) -> None:
        self.inner, self.study, self.trial, self.relative = inner, study, trial, relative

    def _draw(self, name: str, distribution: Any) -> Any:
        if name in self.relative:
            return self.relative[name]
        return self.inner.sample_independent(self.study, self.trial, name, distribution)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self._draw(name, optuna.distributions.FloatDistribution(low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._draw(name, optuna.distributions.IntDistribution(low, high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._draw(name, optuna.distributions.CategoricalDistribution(choices))
