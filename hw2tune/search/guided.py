"""The sampler `guided`: near what is known to be good, and from a model of every trial, stopped ones included."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from scipy import linalg, stats
from scipy.spatial.distance import cdist
from threadpoolctl import ThreadpoolController

from hw2tune.records.trials.rows import LABEL, STATE
from hw2tune.records.trials.states import FAILED_BY_ITSELF
from hw2tune.search.design import Cube, UnitPoint
from hw2tune.search.risk import Risk
from hw2tune.study.hyperparameters import Value
from hw2tune.study.objectives import sign_of
from hw2tune.study.schema import Study
from hw2tune.study.space import Interval, Suggests

Array = NDArray[np.float64]
USED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
LEAST = 3  # values that a model needs
REDRAWS = 20  # at most, of a draw of the mixture that is likely to fail
CENTRES, NEAR, ANYWHERE = 3, 192, 64  # candidates of a model: near so many of the best, and anywhere
BEST, OTHERS = 100, 50  # trials that a model sees at most
LENGTHS, NOISES = (0.25, 0.5, 1.0, 2.0), (0.03, 0.1, 0.3)  # of features in [0, 1]; variances of standardised values


class ByNameSampler(BaseSampler):
    """Draws each parameter by name: `sample_independent` is all that a subclass needs."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return no parameters to draw together."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no parameters drawn together."""
        return {}


def suggest(source: Suggests, name: str, distribution: BaseDistribution) -> Any:
    """Return what `source` suggests for a distribution of Optuna's."""
    match distribution:
        case CategoricalDistribution():
            return source.suggest_categorical(name, distribution.choices)
        case FloatDistribution():
            return source.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            return source.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
    raise AssertionError(f"a space has no {type(distribution).__name__}")


@dataclass(frozen=True)
class _Known:
    """A configuration and what it reaches, larger being better."""

    configuration: Mapping[str, Value]
    value: float
    failed: bool = False  # by itself; the value is then the worst of the others


@dataclass(eq=False)
class GuidedSampler(ByNameSampler):
    """Draws from a mixture around references and the best trials (after PriorBand), later what a model expects most of.

    `startup` trials besides the references come from the mixture, and one in `mixed_every` after them; `random` is the
    mixture's share of draws from the whole space. A coordinate moves with probability `moved`, by `width` of its range
    (standard deviation). With `prior` references are centres of the mixture while little is known.
    """

    study: Study
    _: KW_ONLY
    seed: int
    startup: int = 8
    mixed_every: int = 4
    random: float = 1 / 3
    moved: float = 2 / 3
    width: float = 0.25
    prior: bool = True

    def __post_init__(self) -> None:
        self.space, self.cube = self.study.search_space, Cube(self.study.search_space)
        self.sign = sign_of(self.study.direction)
        self.rng = np.random.default_rng(self.seed)
        self.blas = ThreadpoolController()
        self.asked: dict[int, dict[str, float]] = {}  # coordinates not yet given, by number of the trial

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one coordinate of the trial's proposal, which is made when its first is asked for, or one again."""
        if param_name not in self.asked.get(trial.number, {}):
            others = (one for one in study.get_trials(deepcopy=False, states=USED) if one.number != trial.number)
            self.asked[trial.number] = self.propose([*others])
        coordinate = self.asked[trial.number].pop(param_name)
        return suggest(UnitPoint({param_name: coordinate}), param_name, param_distribution)

    def propose(self, trials: Sequence[FrozenTrial]) -> dict[str, float]:
        """Return the coordinates of the next trial, after these; it is none of them."""
        known: list[_Known] = []
        waiting: list[Mapping[str, Value]] = []  # those that run and have no value yet
        for one in trials:
            values = [self.sign * value for value in one.intermediate_values.values() if math.isfinite(value)]
            if values:
                known.append(_Known(self.space.decode(one.params), max(values), _failed(one)))
            elif one.params and not one.state.is_finished():
                waiting.append(self.space.decode(one.params))
        best = [one.configuration for one in sorted(known, key=lambda one: -one.value) if not one.failed]
        drawn = sum(LABEL not in one.user_attrs for one in trials) - self.startup
        with self.blas.limit(limits=1):  # ten times sooner where every core trains
            risk = self._risk(trials)
            if drawn < 0 or len(best) < LEAST or drawn % self.mixed_every == self.mixed_every - 1:
                return self._mixed(best, risk)
            return self._modelled(known, best, waiting, risk)

    def _risk(self, trials: Sequence[FrozenTrial]) -> Risk | None:
        """Return the probability of failing, learned from the trials that ended; None if none failed by itself."""
        ended = [one for one in trials if one.state.is_finished() or _failed(one)]
        failed = np.array([_failed(one) for one in ended])
        if not failed.any():
            return None
        return Risk(self.cube.features([self.space.decode(one.params) for one in ended]), failed)

    def _mixed(self, best: Sequence[Mapping[str, Value]], risk: Risk | None) -> dict[str, float]:
        """Draw from the mixture, and again with the probability that a draw fails."""
        point = self._drawn(best)
        if risk is not None:
            for _ in range(REDRAWS):
                if self.rng.random() >= risk(self._features([point]))[0]:
                    break
                point = self._drawn(best)
        return point

    def _features(self, points: Sequence[Mapping[str, float]]) -> Array:
        return self.cube.features([self.space.suggest(UnitPoint(point)) for point in points])

    def _drawn(self, best: Sequence[Mapping[str, Value]]) -> dict[str, float]:
        """Draw anywhere, around a reference or around one of the best."""
        if self.rng.random() < self.random:
            return self._anywhere()
        centres = list(best[: 1 + len(best) // 8])
        if self.prior and len(best) < self.startup:
            centres = [*self.study.references.values(), *centres]
        return self._near(centres[self.rng.integers(len(centres))]) if centres else self._anywhere()

    def _anywhere(self) -> dict[str, float]:
        return dict(zip(self.cube.names, self.rng.random(len(self.cube.names)).tolist(), strict=True))

    def _near(self, centre: Mapping[str, Value]) -> dict[str, float]:
        """Move some coordinates of a configuration; what does not apply to it is anywhere."""
        point = self._anywhere()
        for name, coordinate in self.cube.coordinates(centre).items():
            if self.rng.random() >= self.moved:
                point[name] = coordinate
            elif isinstance(self.space.distributions.get(name), Interval):  # a choice moves anywhere
                folded = abs(coordinate + self.width * self.rng.standard_normal()) % 2  # reflected at the ends
                point[name] = min(2 - folded if folded > 1 else folded, 1 - 1e-9)
        return point

    def _modelled(
        self,
        known: Sequence[_Known],
        best: Sequence[Mapping[str, Value]],
        waiting: Sequence[Mapping[str, Value]],
        risk: Risk | None,
    ) -> dict[str, float]:
        """Return the candidate whose expected improvement over the best is largest, a failure improving nothing."""
        known = _few(known)
        values = np.array([one.value for one in known])
        values = np.maximum(values, np.median(values))  # how bad the bad ones are says nothing of the good ones
        x = self.cube.features([one.configuration for one in known])
        model = GaussianProcess(x, values)
        if waiting:  # what runs without a value yet is taken to reach what is expected of it
            more = self.cube.features(waiting)
            model = GaussianProcess(np.vstack([x, more]), np.concatenate([values, model.predict(more)[0]]))
        points = [self._near(best[number % min(len(best), CENTRES)]) for number in range(NEAR)]
        points += [self._anywhere() for _ in range(ANYWHERE)]
        drawn = self._features(points)
        expected = expected_improvement(*model.predict(drawn), float(values.max()))
        return points[int(np.argmax(expected * (1 - risk(drawn)) if risk is not None else expected))]


def _failed(told: FrozenTrial) -> bool:
    """Return whether a trial failed by itself. It is told as complete with the worst value, or as running."""
    return told.user_attrs.get(STATE) in FAILED_BY_ITSELF


def _few(known: Sequence[_Known]) -> list[_Known]:
    """Return, of very many, the best and some of the others: a model of thousands takes seconds."""
    ranked = sorted(known, key=lambda one: -one.value)
    others = ranked[BEST:]
    return ranked[:BEST] + others[:: 1 + len(others) // OTHERS]


class GaussianProcess:
    """Fitted to N points: `x` (N, D), `y` (N,). Length scale and noise are those of a small grid that fit best.

    Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: prediction after algorithm 2.1, kernel after
    equation 4.17. Optuna's own needs PyTorch, which the driver does not import.
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.mean, self.scale = x, float(y.mean()), float(y.std()) or 1.0
        z, distances = (y - self.mean) / self.scale, cdist(x, x)
        fits = [_fit(length, noise, distances, z) for length, noise in itertools.product(LENGTHS, NOISES)]
        _, self.length, self.factor, self.weights = max(fits, key=lambda fit: fit[0])

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation (M,) of the values of points (M, D), without the noise of one training."""
        cross = _matern(cdist(self.x, x) / self.length)
        mean = cross.T @ self.weights
        solved = linalg.solve_triangular(self.factor, cross, lower=True)
        deviation = np.sqrt(np.maximum(1 - (solved**2).sum(0), 1e-9))
        return self.mean + self.scale * mean, self.scale * deviation


def _fit(length: float, noise: float, distances: Array, z: Array) -> tuple[float, float, Array, Array]:
    """Return the log of how likely the values are, the length scale, and factor and weights of the prediction."""
    covariance = _matern(distances / length) + noise * np.eye(len(z))
    factor = linalg.cholesky(covariance, lower=True)
    weights = linalg.cho_solve((factor, True), z)
    return float(-0.5 * z @ weights - np.log(np.diag(factor)).sum()), length, factor, weights


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5) * distances
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return (M,) how far above `best` points are expected, below it counting as nothing (Jones et al., 1998)."""
    z = (mean - best) / deviation
    return np.asarray((mean - best) * stats.norm.cdf(z) + deviation * stats.norm.pdf(z))
