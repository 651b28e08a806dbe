"""A study's unit cube as other libraries' spaces want it: which coordinates are choices, and between what."""

from __future__ import annotations

from hw2tune.search.design import Cube
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice

NOT_ZERO, ZERO = 0.25, 0.75  # of a flag's coordinate, as `Cube.coordinates` gives them


def choices(study: Study) -> dict[str, list[float]]:
    """By coordinate the middle of each of its choices; empty where it is a range."""
    distributions = study.search_space.distributions
    return {name: _middles(distributions.get(name)) for name in Cube(study.search_space).names}


def _middles(one: object) -> list[float]:
    if one is None:
        return [NOT_ZERO, ZERO]
    return [(i + 0.5) / len(one.choices) for i in range(len(one.choices))] if isinstance(one, Choice) else []
