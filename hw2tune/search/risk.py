"""The probability that a configuration fails by itself: that it diverges, or runs out of memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]
RARE = math.log(1 / 9)  # logit of failing where nothing is known: one in ten
SPREAD = 4.0  # standard deviation of a coefficient before anything is known, in logits per half range


class Risk:
    """Logistic regression on `features` (N, D) of configurations and which of them `failed` (N,).

    Each feature enters with its square, as both ends of a range may fail. Normal priors on the coefficients (a ridge)
    keep a few failures from closing a part of the space.
    """

    def __init__(self, features: Array, failed: NDArray[np.bool_]) -> None:
        x, sign = _terms(features), np.where(failed, 1.0, -1.0)
        prior = np.array([RARE, *[0.0] * (x.shape[1] - 1)])

        def loss(weights: Array) -> tuple[float, Array]:
            margin, pull = sign * (x @ weights), (weights - prior) / SPREAD**2
            value = np.logaddexp(0, -margin).sum() + 0.5 * pull @ (weights - prior)
            return float(value), pull - x.T @ (sign * special.expit(-margin))

        self.weights = optimize.minimize(loss, prior, jac=True, method="L-BFGS-B").x

    def __call__(self, features: Array) -> Array:
        """Return the probabilities (M,) that configurations of these features (M, D) fail."""
        return np.asarray(special.expit(_terms(features) @ self.weights))


def _terms(features: Array) -> Array:
    centred = 2 * features - 1
    return np.hstack([np.ones((len(features), 1)), centred, centred**2])
