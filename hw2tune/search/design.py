"""A study's space as numbers: a unit cube to draw from, and features of configurations for a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.study.hyperparameters import Value, is_number
from hw2tune.study.space import Choice, Interval, Space, zero_key

ZERO = 0.1  # the part of a coordinate that a model sees below the range for exactly 0


class UnitPoint:
    """A point of the unit cube, a coordinate in [0, 1) a name, as what a space draws a configuration from."""

    def __init__(self, coordinates: Mapping[str, float]) -> None:
        self.coordinates = coordinates

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return the quantile of the uniform or log-uniform distribution."""
        u = self.coordinates[name]
        value = low + u * (high - low) if not log else math.exp(math.log(low) + u * math.log(high / low))
        return min(high, max(low, float(f"{value:.12g}")))  # a value that was kept comes back as it was

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return the same for whole numbers, each as wide as Optuna draws it."""
        if log:
            return min(high, max(low, round(self.suggest_float(name, low - 0.5, high + 0.5, log=True))))
        steps = (high - low) // step
        return low + step * min(steps, int(self.coordinates[name] * (steps + 1)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices, all equally wide."""
        return choices[int(self.coordinates[name] * len(choices))]


def coordinates(space: Space) -> list[str]:
    """Return the names of the coordinates: each hyperparameter, and `<name>.zero` for one that may be zero."""
    names = []
    for name, one in space.distributions.items():
        names += [zero_key(name)] if isinstance(one, Interval) and one.or_zero else []
        names.append(name)
    return names


class Features:
    """Configurations of a space as numbers for a model."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.ranks = {
            name: {
                value: rank / max(1, len(one.choices) - 1) for rank, value in enumerate(sorted(one.choices, key=float))
            }
            for name, one in space.distributions.items()
            if isinstance(one, Choice) and all(is_number(choice) for choice in one.choices)
        }  # of choices among numbers

    def __call__(self, configurations: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Return (N, D): each hyperparameter in about [0, 1], a choice among words one column a word.

        What does not apply stands in the middle. With momentum the learning rate is that of the long run, lr/(1 - m).
        """
        rows = [[*self._row(one)] for one in configurations]
        return np.array(rows, np.float64).reshape(len(configurations), -1)

    def _row(self, configuration: Mapping[str, Value]) -> Iterator[float]:
        momentum = float(configuration.get("momentum", 0.0))
        for name, one in self.space.distributions.items():
            value = configuration.get(name)
            if isinstance(one, Choice) and name not in self.ranks:
                yield from (0.5 * (value == choice) for choice in one.choices)
            elif value is None:
                yield 0.5
            elif isinstance(one, Choice):
                yield self.ranks[name][value]
            elif one.or_zero and value == 0:
                yield -ZERO
            elif name == "learning_rate" and momentum and one.log and one.low < one.high:
                yield one.position(value) - math.log(1 - momentum) / math.log(one.high / one.low)
            else:
                yield one.position(value)
