"""A Gaussian process over a few dozen points: what a configuration is likely to reach, and how sure that is.

Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: prediction after algorithm 2.1, kernel after
equation 4.17. Optuna's own needs PyTorch, which the driver does not import.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]
LENGTHS, NOISES = (0.25, 0.5, 1.0, 2.0), (0.03, 0.1, 0.3)  # of features in [0, 1]; variances of standardised values


class GaussianProcess:
    """Fitted to N points: `x` (N, D), `y` (N,). Length scale and noise are those of a small grid that fit best."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.mean, self.scale = x, float(y.mean()), float(y.std()) or 1.0
        z, distances = (y - self.mean) / self.scale, cdist(x, x)
        fits = [_Fit(length, noise, distances, z) for length, noise in itertools.product(LENGTHS, NOISES)]
        self.fit = max(fits, key=lambda fit: fit.evidence)

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (M,) of what points (M, D) would reach, without the noise of one training."""
        cross = _matern(cdist(self.x, x) / self.fit.length)
        mean = cross.T @ self.fit.weights
        solved = linalg.solve_triangular(self.fit.factor, cross, lower=True)
        deviation = np.sqrt(np.maximum(1 - (solved**2).sum(0), 1e-9))
        return self.mean + self.scale * mean, self.scale * deviation


class _Fit:
    """One length scale and noise, and the log of how likely the values are under them."""

    def __init__(self, length: float, noise: float, distances: Array, z: Array) -> None:
        self.length = length
        covariance = _matern(distances / length) + noise * np.eye(len(z))
        self.factor = linalg.cholesky(covariance, lower=True)
        self.weights = linalg.cho_solve((self.factor, True), z)
        self.evidence = float(-0.5 * z @ self.weights - np.log(np.diag(self.factor)).sum())


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5) * distances
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """(M,) how far above `best` a point is expected, below it counting as nothing (Jones et al., 1998)."""
    z = (mean - best) / deviation
    return np.asarray((mean - best) * stats.norm.cdf(z) + deviation * stats.norm.pdf(z))
