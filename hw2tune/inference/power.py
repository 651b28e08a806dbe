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
    if n < 2:
        return math.inf
    factor = float(special.stdtrit(n - 1, 1 - alpha / 2) if fixed else anytime_factor(np.array([float(n)]), alpha)[0])
    if not math.isfinite(factor) or not math.isfinite(images) or sd <= 0:
        return math.inf
    errors = sd * np.sqrt(special.chdtri(n - 1, QUANTILES) / (n - 1) / n)
    limits = with_images(factor * errors, np.array(images), alpha if fixed else alpha / 2)
    spread = math.sqrt(sd**2 / n + images)

    def missed(true: float) -> float:
        """Return the chance that the mean is below the limit, less the one that POWER leaves."""
        return float(special.ndtr((limits - true) / spread).mean()) - (1 - POWER)

    return float(optimize.brentq(missed, 0.0, limits.max() + 10 * spread))
