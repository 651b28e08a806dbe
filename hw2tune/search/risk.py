"""The probability that a configuration fails by itself: it diverges, runs out of memory, or raises an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy import optimize, special
from threadpoolctl import ThreadpoolController

from hw2tune.records.trials.rows import failed_by_itself
from hw2tune.search.design import Features
from hw2tune.study.hyperparameters import Value
from hw2tune.study.space import Space

Array = NDArray[np.float64]
RiskOf = Callable[[Mapping[str, Value]], float]  # of a configuration, in [0, 1]
RARE = math.log(1 / 9)  # logit of failing where nothing is known: one in ten
CAUTION = 2  # a draw is kept if it would work so many times in a row, as the regression is blunt at an edge
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

        with _blas().limit(limits=1):  # thirty times sooner where every core trains
            self.weights = optimize.minimize(loss, prior, jac=True, method="L-BFGS-B").x

    def __call__(self, features: Array) -> Array:
        """Return the probabilities (M,) that configurations of these features (M, D) fail."""
        return np.asarray(special.expit(_terms(features) @ self.weights))


def learned(space: Space, trials: Sequence[FrozenTrial]) -> RiskOf | None:
    """Return the probability of failing after these trials; None if none of them failed by itself.

    Running trials say nothing of it, nor do those that a machine failed.
    """
    ended = [one for one in trials if one.state in (TrialState.COMPLETE, TrialState.PRUNED) or failed_by_itself(one)]
    failed = np.array([failed_by_itself(one) for one in ended])
    if not failed.any():
        return None
    features = Features(space)
    risk = Risk(features([space.decode(one.params) for one in ended]), failed)
    return lambda configuration: float(risk(features([configuration]))[0])


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _terms(features: Array) -> Array:
    centred = 2 * features - 1
    return np.hstack([np.ones((len(features), 1)), centred, centred**2])
