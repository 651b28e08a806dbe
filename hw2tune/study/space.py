"""The search space: one distribution a hyperparameter, some of them only under a condition.

Optuna is not imported here. `Space.suggest` asks anything with Optuna's `suggest_*` methods; `encode` and `decode`
translate between a configuration and what Optuna stores for it. The two differ in one place: a parameter with
`or_zero` is stored as a choice `<name>.zero` and, where that is false, as the number itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hw2tune.study import distributions
from hw2tune.study.distributions import (
    Distribution,
    Interval,
    Suggests,
    condition_text,
    holds,
    zero_key,
)
from hw2tune.study.hyperparameters import Value


class Space:
    """The distributions of a study by name, each after those that its conditions name: one pass decides them all."""

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self.distributions = {name: distributions[name] for name in in_order(distributions)}

    def suggest(self, trial: Suggests) -> dict[str, Value]:
        """Draw one configuration from `trial`; a resumed trial returns its earlier draw."""
        drawn: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if applies(distribution, drawn):
                drawn[name] = distribution.suggest(name, trial)
        return drawn

    def encode(self, configuration: Mapping[str, Value]) -> dict[str, Value]:
        """Return a configuration as Optuna stores it, for `enqueue_trial`."""
        stored: dict[str, Value] = {}
        for name, value in configuration.items():
            distribution = self.distributions[name]
            if isinstance(distribution, Interval) and distribution.or_zero:
                stored[zero_key(name)] = value == 0
                if value == 0:
                    continue
            stored[name] = value
        return stored

    def decode(self, stored: Mapping[str, Value]) -> dict[str, Value]:
        """Return the configuration in Optuna's storage, in the order of the study file."""
        return {
            name: _zero(distribution) if stored.get(zero_key(name)) is True else stored[name]
            for name, distribution in self.distributions.items()
            if name in stored or zero_key(name) in stored
        }

    def configurations(self) -> list[dict[str, Value]] | None:
        """Return every configuration; None if they cannot be counted, or may be thousands."""
        counted = [one.values for one in self.distributions.values()]
        if None in counted or math.prod(len(values or ()) for values in counted) > distributions.COUNTED:
            return None
        drawn: list[dict[str, Value]] = [{}]
        for name, one in self.distributions.items():
            drawn = [
                more
                for before in drawn
                for more in ([before | {name: v} for v in one.values or ()] if applies(one, before) else [before])
            ]
        return drawn

    def validation_errors(self, configuration: Mapping[str, Value]) -> dict[str, str]:
        """Return the fault of each hyperparameter of a configuration that this space cannot draw.

        What is not searched may be given as well: it takes the place of what [training] fixes, or of a default.
        """
        faults = {}
        for name, value in configuration.items():
            distribution = self.distributions.get(name)
            if distribution is None:
                continue
            if not applies(distribution, configuration):
                faults[name] = f"exists only{condition_text(distribution.when)}"
            elif not distribution.contains(value):
                faults[name] = f"must lie in [space] ({distribution}), but got {value!r}"
        for name, distribution in self.distributions.items():
            if name not in configuration and applies(distribution, configuration):
                faults[name] = "is in [space] but has no value here"
        return faults


def in_order(distributions: Mapping[str, Distribution]) -> list[str]:
    """Return the names, each after those of its conditions, else in the given order. Raises CycleError.

    Unconditional ones come first.
    """
    needs = {
        name: [on for on in distribution.when if on in distributions] for name, distribution in distributions.items()
    }
    order = [name for name in needs if not needs[name]]
    while len(order) < len(needs):
        ready = [name for name in needs if name not in order and all(on in order for on in needs[name])]
        if not ready:
            raise CycleError(sorted(needs.keys() - set(order)))
        order += ready
    return order


class CycleError(ValueError):
    """Conditions that wait for each other; its argument lists the names."""


def _zero(distribution: Distribution) -> Value:
    return 0 if isinstance(distribution, Interval) and distribution.integer else 0.0


def applies(distribution: Distribution, drawn: Mapping[str, Value]) -> bool:
    """Return whether a hyperparameter exists, given those before it."""
    return all(name in drawn and holds(condition, drawn[name]) for name, condition in distribution.when.items())
