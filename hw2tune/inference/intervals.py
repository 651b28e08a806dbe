"""E-values and intervals of a mean paired difference, after each seed. Arrays are (..., n): all studies of a simulation
go through the same lines as one claim of a report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from hw2tune.inference.statistics import SAME
from hw2tune.records.arrays import Array


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Numbers after 1, 2, ..., n seeds, each (..., n); half widths are infinite where nothing bounds the difference."""

    n: Array
    mean: Array
    sd: Array
    log_e: Array  # against a difference of 0
    anytime: Array  # half width over seeds, valid at any look
    fixed: Array  # half width over seeds, valid at one n
    of_images: Array  # variance of the mean over test images that no further seed takes away; infinite if not known
    alpha: float

    def over_seeds(self, fixed: bool) -> Array:
        """Return the half width over seeds."""
        return self.fixed if fixed else self.anytime

    def over_both(self, fixed: bool) -> Array:
        """Return the half width over seeds and test images."""
        return with_images(self.over_seeds(fixed), self.of_images, self.alpha if fixed else self.alpha / 2)


def looks(differences: Array, over_images: Array | None, alpha: float) -> Looks:
    """Return the numbers after each seed of (..., n) differences, at level 1 - alpha.

    `over_images` is their (..., n, n) covariance over other test images (`evidence.covariance_over_images`).
    """
    n = np.arange(1.0, differences.shape[-1] + 1)
    shifted = differences - differences[..., :1]  # equal differences have a deviation of exactly 0
    mean = np.cumsum(shifted, axis=-1) / n
    variance = (np.cumsum(shifted**2, axis=-1) - n * mean**2) / np.maximum(n - 1, 1)
    sd = np.sqrt(np.maximum(variance, 0))
    mean = mean + differences[..., :1]
    spread = (n > 1) & (sd > SAME)
    sd = np.where(spread, sd, 0.0)  # equal but for rounding is equal
    error = np.where(spread, sd, 1.0) / np.sqrt(n)
    return Looks(
        n=n,
        mean=mean,
        sd=sd,
        log_e=np.where(spread, log_e_value(n, mean / error), 0.0),
        anytime=np.where(spread, error * anytime_factor(n, alpha), np.inf),
        fixed=np.where(spread, error * special.stdtrit(np.maximum(n - 1, 1), 1 - alpha / 2), np.inf),
        of_images=np.full(sd.shape, np.inf) if over_images is None else _of_images(n, over_images),
        alpha=alpha,
    )


def with_images(over_seeds: Array, of_images: Array, level: float) -> Array:
    """Return the half width over seeds and test images: of both, in quadrature.

    The error of the test images is one draw for all seeds and looks, so its quantile is normal; at any look it is taken
    at half the level. Simulated as in benchmarks/verdicts.py, 5.1 % of studies then have a false verdict at a fixed n
    and 3.6 % at any look, at most. With Satterthwaite's t on the sum of variances they are 6.0 and 13.5 %, at any look
    with the whole level 6.7 %.
    """
    return np.asarray(np.sqrt(over_seeds**2 + special.ndtri(1 - level / 2) ** 2 * of_images))


def log_e_value(n: Array, t: Array) -> Array:
    """Return the logarithm of the e-value of a t statistic of n differences, against a mean of 0.

    The Bayes factor of the t test with the right-Haar prior on the deviation and N(0, 1) on the effect in deviations:
    an e-process, so that the chance of ever exceeding 1 / alpha is at most alpha (Wang and Ramdas, arXiv 2310.03722).
    """
    square = t**2 / np.maximum(n - 1, 1)
    return np.asarray(0.5 * (n * (np.log1p(square) - np.log1p(square / (1 + n))) - np.log1p(n)))


def anytime_factor(n: Array, alpha: float) -> Array:
    """Return the half width of the anytime interval in standard errors: the t at which the e-value is 1 / alpha."""
    exponent = np.exp(2 / n * (-math.log(alpha) + 0.5 * np.log1p(n)))
    bounded = (exponent < 1 + n) & (n > 1)
    return np.where(
        bounded, np.sqrt(np.maximum(n - 1, 1) * (exponent - 1) / np.where(bounded, 1 - exponent / (1 + n), 1.0)), np.inf
    )


def _of_images(n: Array, over_images: Array) -> Array:
    """Return the variance of the mean over other test images that more seeds do not take away.

    Seeds and images are crossed: the variance of the mean over n seeds has 1 / n of each seed's own part in it.
    """
    # Predictions that are missing (NaN) leave it unknown from their seed on.
    of_mean = np.diagonal(np.cumsum(np.cumsum(over_images, axis=-1), axis=-2), axis1=-2, axis2=-1) / n**2
    of_one = np.cumsum(np.diagonal(over_images, axis1=-2, axis2=-1), axis=-1) / n
    own = np.maximum(of_one - of_mean, 0) / np.maximum(n - 1, 1)
    remains = np.maximum(of_mean - own, 0)
    return np.where(np.isnan(remains), np.inf, remains)
