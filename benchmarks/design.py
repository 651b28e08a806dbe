"""A space-filling design: the configurations of a table of trainings."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from hw2tune.search.design import UnitPoint, coordinates
from hw2tune.study.hyperparameters import Value
from hw2tune.study.space import Space


def space_filling(space: Space, count: int, *, seed: int) -> list[dict[str, Value]]:
    """Return `count` scrambled Sobol points as configurations; more with the same seed begin with the same ones."""
    names = coordinates(space)
    if not names:
        return [{}] * count
    drawn = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(seed))
    points = drawn.random(1 << max(0, count - 1).bit_length())  # a power of two, or scipy warns
    return [space.suggest(UnitPoint(dict(zip(names, map(float, point), strict=True)))) for point in points[:count]]
