"""The statistics behind a claim: pure functions on arrays; scipy does the statistics.

What an interval over replicates speaks about: other seeds (first weights, order of batches, dropout) on the same split
and the same test images. McNemar's test speaks about other test images, for one pair of trained networks.
`holm` corrects for the number of pairs that a report compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.80
WORTH_SEEING = 0.001  # 0.1 points of accuracy: the difference that `needed_n` is about
SAME = 1e-12  # values closer than this differ by rounding only
MOST_FLIPS = 9999  # sign flips beyond which (n > 13) the permutation test draws instead of counting them all


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Values of `n` replicates. With n = 1 there is no deviation and no interval: they are None."""

    n: int
    mean: float
    sd: float | None  # with n - 1 in the denominator
    low: float | None  # of the 95 % t interval of the mean
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PairedComparison(Summary):
    """Differences of pairs that share a seed, in the unit of the values (accuracies: fractions).

    With n = 1 everything but the mean is None. Differences without any spread (possible on few test images) make an
    interval of width zero that proves nothing: `excludes_zero` is then False.
    """

    permutation_p: float | None  # two-sided sign-flip test of the mean
    permutation_floor: float | None  # the smallest p that n allows: 2 / 2**n
    needed_n: int | None  # pairs needed to see a difference of 0.1 points; None without a spread to tell from

    @property
    def has_spread(self) -> bool:
        """Return whether the differences differ at all."""
        return self.sd is not None and self.sd > SAME

    @property
    def excludes_zero(self) -> bool:
        """Return whether the interval lies on one side of zero: the difference is detectable."""
        return self.has_spread and self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Two classifiers on the same images: how many the second got right that the first got wrong, and the reverse."""

    fixed: int
    broken: int
    p: float  # exact, two-sided


def holm(p_values: Sequence[float | None]) -> list[float]:
    """P values corrected for their number, in the same order: the chance of one false rejection among all stays alpha.

    Holm (1979): the i-th smallest of m, counted from 0, is multiplied by m - i; none is below a smaller one's.
    """
    known = [1.0 if p is None else p for p in p_values]
    corrected, largest = [0.0] * len(known), 0.0
    for rank, place in enumerate(sorted(range(len(known)), key=lambda i: known[i])):
        largest = max(largest, min(1.0, known[place] * (len(known) - rank)))
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


def compare_pairs(values: ArrayLike, against: ArrayLike) -> PairedComparison:
    """Compares (n,) values with the (n,) values of the same seeds: the differences are values - against."""
    differences = _finite(values) - _finite(against)
    summary = summarize(differences)
    alone = summary.n == 1
    return PairedComparison(
        **vars(summary),
        permutation_p=None if alone else sign_flip_p(differences),
        permutation_floor=None if alone else 2.0 ** (1 - summary.n),
        needed_n=None if summary.sd is None or summary.sd <= SAME else needed_n(summary.sd),
    )


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p of the mean of (n,) paired differences when each sign could as well be the other one.

    Exact up to n = 13; beyond, 9,999 draws from a fixed seed, so that a report repeats itself. Means are rounded, as
    sign patterns that tie in counts of images would differ by rounding as fractions, and each lost tie lowers p.
    """
    array = _finite(differences)
    if np.abs(array).max() <= SAME:
        return 1.0
    test = stats.permutation_test(
        (array,), lambda one, axis: np.round(np.mean(one, axis=axis), 12), permutation_type="samples",
        n_resamples=MOST_FLIPS, vectorized=True, rng=0,
    )  # fmt: skip
    return float(test.pvalue)


def needed_n(sd: float, difference: float = WORTH_SEEING, power: float = POWER) -> int:
    """The pairs that a two-sided paired t test at 5 % needs to see `difference` with `power`, if `sd` is the true
    deviation of the differences. (It is an estimate itself, a poor one from few pairs: say "about".)
    """
    normal = ((stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(power)) * sd / difference) ** 2
    # The t test needs more pairs than the normal formula, by about two: search upwards from there.
    return next(n for n in count(max(2, math.floor(normal))) if t_test_power(n, sd, difference) >= power)


def t_test_power(n: int, sd: float, difference: float) -> float:
    """The power of the two-sided paired t test at 5 %, by the noncentral t distribution."""
    threshold = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    # Beyond 40 the power is 1 with any n, and scipy's noncentral t loses its footing.
    shift = min(40.0, abs(difference) / sd * math.sqrt(n))
    return float(stats.nct.sf(threshold, n - 1, shift) + stats.nct.cdf(-threshold, n - 1, shift))


def mcnemar(right: NDArray[np.bool_], right_against: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test on (N,) images that both classifiers saw: a binomial test of fixed among fixed + broken."""
    fixed = int((right & ~right_against).sum())
    broken = int((~right & right_against).sum())
    p = float(stats.binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0
    return McNemar(fixed=fixed, broken=broken, p=p)


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
