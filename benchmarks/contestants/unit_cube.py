"""A study's unit cube as other libraries' spaces want it: its choices, and configurations as points."""

from __future__ import annotations

from collections.abc import Mapping

from hw2tune.search.design import coordinates
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval, Space, zero_key

NOT_ZERO, ZERO = 0.25, 0.75  # of a flag's coordinate, as `point_of` gives them


def choices(study: Study) -> dict[str, list[float]]:
    """By coordinate the middle of each of its choices; empty where it is a range."""
    distributions = study.search_space.distributions
    return {name: _middles(distributions.get(name)) for name in coordinates(study.search_space)}


def _middles(one: object) -> list[float]:
    if one is None:
        return [NOT_ZERO, ZERO]
    return [(i + 0.5) / len(one.choices) for i in range(len(one.choices))] if isinstance(one, Choice) else []


def point_of(space: Space, configuration: Mapping[str, Value]) -> dict[str, float]:
    """The coordinates of a configuration, without those that do not apply to it."""
    found: dict[str, float] = {}
    for name, value in configuration.items():
        one = space.distributions.get(name)
        if isinstance(one, Choice):
            found[name] = (one.choices.index(value) + 0.5) / len(one.choices)
        elif isinstance(one, Interval):
            zero = one.or_zero and value == 0
            found |= {zero_key(name): ZERO if zero else NOT_ZERO} if one.or_zero else {}
            found |= {} if zero else {name: one.position(value)}
    return found
