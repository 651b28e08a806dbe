"""Samplers that are asked for one parameter after another, as a space with conditions asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from hw2tune.study.distributions import Suggests


class ByNameSampler(BaseSampler):
    """Draws nothing together: `sample_independent` is all that a subclass needs."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: each parameter is asked for by name."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing: see above."""
        return {}


def suggest(source: Suggests, name: str, distribution: BaseDistribution) -> Any:
    """What `source` suggests for a distribution of Optuna's."""
    match distribution:
        case CategoricalDistribution():
            return source.suggest_categorical(name, distribution.choices)
        case FloatDistribution():
            return source.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            return source.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
    raise AssertionError(f"a space has no {type(distribution).__name__}")
