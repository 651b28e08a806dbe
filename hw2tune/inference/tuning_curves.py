"""Tuning curves: the best value to be expected of n trainings, and exact bands.

The median best of n training runs whose values have the distribution F is its quantile 0.5^(1/n). Simultaneous bands on
F therefore are bands on the whole curve, at any n (Lourie, Cho and He, 2024, "Show Your Work with Confidence", arXiv
2311.09480). Larger values are better here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hw2tune.inference.statistics import CONFIDENCE

Array = NDArray[Any]
SIMULATED = 10_000  # samples for the level of the bands


def median_best(values: ArrayLike, n: ArrayLike) -> Array:
    """Return the median best (M,) of n (M,) values drawn from the (N,) values."""
    return _quantile(np.sort(values), np.arange(1, np.size(values) + 1) / np.size(values), n)


def bands(values: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """Return low and high (M,) of the median best of n training runs, at 95 % for all n together.

    Exact for independent values; ties make them wider. They are infinite at an n beyond which these values tell
    nothing: the upper band from about a fifth of their number on.
    """
    ordered = np.sort(values)
    low, high = _distribution_bands(len(ordered))
    below = np.concatenate(
        [[-np.inf], ordered]
    )  # F is at most `high` before the next value, and at least `low` from it
    return _quantile(below, np.append(high, 1.0), n), _quantile(ordered, low, n)


def expected_best(values: ArrayLike, n: int) -> float:
    """Return the mean of the best of all samples of n of the (N,) values, without replacement."""
    ordered = np.sort(values)
    ranks = np.arange(n, len(ordered) + 1)  # a value is the best of n if the others are below it
    chances = special.binom(ranks - 1, n - 1) / special.binom(len(ordered), n)
    return float(chances @ ordered[n - 1 :])


def _quantile(ordered: Array, distribution: Array, n: ArrayLike) -> Array:
    """Return the first value at which the distribution reaches 0.5^(1/n); infinity if it does not."""
    at = np.searchsorted(distribution, 0.5 ** (1 / np.asarray(n, float)) - 1e-12)
    return np.append(ordered, np.inf)[at]


@cache
def _distribution_bands(count: int) -> tuple[Array, Array]:
    """Return (count,) low and high limits of F at each of so many ordered values, at 95 % for all of them together.

    F at the i-th of N ordered values is Beta(i, N + 1 - i) distributed, whatever F is; each has its interval at one
    level, which simulation sets so that all of them hold together.
    """
    i = np.arange(1, count + 1)
    uniform = np.sort(np.random.default_rng(0).random((SIMULATED, count)), axis=1)
    tails = special.betainc(i, count + 1 - i, uniform)
    level = float(np.quantile(np.minimum(tails, 1 - tails).min(axis=1), 1 - CONFIDENCE))
    return special.betaincinv(i, count + 1 - i, level), special.betaincinv(i, count + 1 - i, 1 - level)


def finite(values: Sequence[float | None]) -> Array:
    """Return values with one below all others in place of those that are missing: a training that failed.

    Where all of them failed no value is known, and each is 0.
    """
    known = [value for value in values if value is not None]
    return np.array([min(known, default=0.0) if value is None else value for value in values])
