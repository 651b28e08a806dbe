"""The statistics behind a claim: pure functions on arrays; scipy does the statistics.

An interval over replicates is about other seeds (first weights, order of batches, dropout) on the same split and the
same test images. `holm` corrects for the number of pairs that a report compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.80
SAME = 1e-12  # values closer than this differ by rounding only


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Values of `n` replicates. With n = 1 there is no deviation and no interval: they are None."""

    n: int
    mean: float
    sd: float | None  # with n - 1 in the denominator
    low: float | None  # of the 95 % t interval of the mean
    high: float | None


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in the same order: the chance of one false rejection among all stays alpha.

    Holm (1979): the i-th smallest of m, counted from 0, is multiplied by m - i; none is below a smaller one's.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = largest
    return corrected


def summarize(values: ArrayLike) -> Summary:
    """Mean, deviation and 95 % t interval of (n,) values, n >= 1 and all finite."""
    array = _finite(values)
    mean = float(array.mean())
    if len(array) == 1:
        return Summary(n=1, mean=mean, sd=None, low=None, high=None)
    sd = float(array.std(ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(array) - 1)) * sd / math.sqrt(len(array))
    return Summary(n=len(array), mean=mean, sd=sd, low=mean - half, high=mean + half)


def median_seed(seeds: Sequence[int], differences: ArrayLike) -> int:
    """The seed whose paired difference is the median one: its pair stands for all where one pair must be shown.

    Both variants are then taken on this one seed, so that images *and* seeds are paired; each variant's own median
    replicate would mix seeds. With an even number, of the two middle ones the lower seed.
    """
    array = _finite(differences)
    distance = np.round(np.abs(array - np.median(array)), 12)  # equal but for rounding is equal
    return min(zip(distance, seeds, strict=True))[1]


def wilson(correct: int, total: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of correct / total; None where there is nothing to count."""
    if not total:
        return None
    interval = stats.binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    assert array.ndim == 1 and len(array) > 0 and np.isfinite(array).all(), values
    return array
