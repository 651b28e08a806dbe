"""A world of any configuration: a random forest over a table's curves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.design import space_filling
from benchmarks.replay.table import UNLIMITED, Array, Curve, Table, key_of
from hw2tune.search.design import Features
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study


class Forest:
    """A random forest's curves, each with the residuals of a repeated training that ended about as well."""

    trials = UNLIMITED
    scored: frozenset[int] | None = None

    def __init__(self, table: Table) -> None:
        self.table, self.task = table, table.task
        self.features_of = Features(self.task.study.search_space)
        self.epochs = self.task.study.max_epochs
        rows = list(table.configurations)
        x, y = self.features_of(list(table.configurations.values())), np.array([self._target(row) for row in rows])
        self.model = _forest().fit(x, y)
        self.cached: dict[Any, Array] = {}
        self.x, self.y = x, y

    def _target(self, row: str) -> Array:
        both = [
            np.concatenate([_logit(_padded(one.validation, self.epochs)), _logit(_padded(one.test, self.epochs))])
            for one in (self.table.curves[row, seed] for seed in self.table.seeds[row])
        ]
        return np.asarray(np.mean(both, 0))

    def quality(self) -> dict[str, float]:
        """Of rows that the forest has not seen (out of five folds): rank correlation with the truth, in points."""
        from scipy.stats import spearmanr
        from sklearn.model_selection import KFold, cross_val_predict

        guessed = cross_val_predict(_forest(), self.x, self.y, cv=KFold(5, shuffle=True, random_state=0))
        true, seen = (_accuracy(one[:, self.epochs :]).max(1) for one in (self.y, guessed))
        top = true >= np.quantile(true, 0.9)
        return {
            "spearman": float(spearmanr(true, seen)[0]),
            "spearman in the top decile": float(spearmanr(true[top], seen[top])[0]),
            "rmse in the top decile": float(np.sqrt(np.mean((true[top] - seen[top]) ** 2))),
        }

    def begin(self, seed: int) -> None:
        """A forest has no state."""

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def _mean(self, configuration: Mapping[str, Value]) -> tuple[Array, Array]:
        key = key_of(configuration)
        if key not in self.cached:
            self.cached[key] = _accuracy(self.model.predict(self.features_of([configuration]))[0])
        return self.cached[key][: self.epochs], self.cached[key][self.epochs :]

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve:
        validation, test = self._mean(configuration)
        near = sorted(self.table.residuals, key=lambda one: abs(one[0] - test[validation.argmax()]))[:40]
        _, more, more_test = near[rng.integers(len(near))]
        return Curve(validation=np.clip(validation + more, 0, 1), test=np.clip(test + more_test, 0, 1))

    def score(self, configuration: Mapping[str, Value]) -> float:
        validation, test = self._mean(configuration)
        return float(test[validation.argmax()])

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return self.table.epoch_seconds(configuration)

    @cached_property
    def typical_seconds(self) -> float:
        """An epoch's, the median over the rows."""
        return float(np.median([self.seconds(one) for one in self.table.configurations.values()]))

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """Over the table's rows and 4,000 configurations more."""
        more = space_filling(self.task.study.search_space, 4096, seed=1)
        guessed = _accuracy(self.model.predict(self.features_of(more)))
        validation, test = guessed[:, : self.epochs], guessed[:, self.epochs :]
        scores = test[np.arange(len(test)), validation.argmax(1)]
        return float(max(scores.max(), max(self.score(one) for one in self.table.configurations.values()))), float(
            np.median(scores)
        )


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(200, min_samples_leaf=1, random_state=0, max_features=0.7)


def _padded(curve: Array, epochs: int) -> Array:
    """A curve that ended early stays where it was, or at chance."""
    return np.concatenate([curve, np.full(epochs - len(curve), curve[-1] if len(curve) else 0.1)])


def _logit(accuracy: Array) -> Array:
    clipped = np.clip(accuracy, 0.01, 0.999)
    return np.log(clipped / (1 - clipped))


def _accuracy(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))
