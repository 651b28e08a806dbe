"""A study's unit cube as other libraries' spaces want it: which coordinates are choices, and between what."""

from __future__ import annotations

from hw2tune.search.design import Cube
from hw2tune.study.distributions import Choice
from hw2tune.study.schema import Study

ZERO, NOT_ZERO = 0.75, 0.25  # of a flag's coordinate, as `Cube.coordinates` gives them


def choices(study: Study) -> dict[str, list[float]]:
    """By coordinate the middle of each of its choices; empty where it is a range."""
    found: dict[str, list[float]] = {}
    for name in Cube(study.search_space).names:
        one = study.search_space.distributions.get(name)
        if one is None:
            found[name] = [NOT_ZERO, ZERO]
        else:
            found[name] = (
                [(i + 0.5) / len(one.choices) for i in range(len(one.choices))] if isinstance(one, Choice) else []
            )
    return found
