"""The smallest difference that a number of seeds shows, before they are trained."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

from hw2tune.inference.intervals import anytime_factor, with_images
from hw2tune.inference.statistics import POWER

QUANTILES = (np.arange(2000) + 0.5) / 2000


def smallest_difference(n: int, sd: float, alpha: float, *, fixed: bool, images: float = 0.0) -> float:
    """Return the true difference that a claim shows on n seeds with POWER at level `alpha`; infinite if none is.

    `sd` is the deviation of the paired differences, and `images` the variance of their mean over test images that no
    further seed takes away. Half widths are averaged over the deviations that n seeds can have. A claim that is looked
    at after each seed is taken at its last look, so it shows a little less than this.
    """
    factor = _t_quantile(n, alpha) if fixed else float(anytime_factor(np.array([float(n)]), alpha)[0])
    if n < 2 or not math.isfinite(factor) or not math.isfinite(images) or sd <= 0:
        return math.inf
    errors = sd * np.sqrt(special.chdtri(n - 1, QUANTILES) / (n - 1) / n)
    limits = with_images(factor * errors, np.array(images), alpha if fixed else alpha / 2)
    spread = math.sqrt(sd**2 / n + images)
    return float(optimize.brentq(lambda true: _missed(limits, true, spread), 0.0, limits.max() + 10 * spread))


def _t_quantile(n: int, alpha: float) -> float:
    return float(special.stdtrit(max(n - 1, 1), 1 - alpha / 2))


def _missed(limits: np.ndarray, true: float, spread: float) -> float:
    """Return the chance that the mean is below the limit, less the one that POWER leaves."""
    return float(special.ndtr((limits - true) / spread).mean()) - (1 - POWER)
