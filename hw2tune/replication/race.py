"""The race for the trial that is best on average over seeds that neither search nor claims use.

Each finalist is trained on a first seed, and then in pairs the leader and its likeliest rival on their next ones, until
the leader is safe on these validation images or the race has had its trainings. The winner has the best posterior mean:
the search's value and the race's of a finalist, drawn towards the mean of all trials that were trained to the end, as
the best of many is partly lucky.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw2tune.errors import StudyFolderError
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Candidate, Race
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import COMPLETE
from hw2tune.replication.course import Course
from hw2tune.study.hyperparameters import identity
from hw2tune.study.names import RACE_EACH
from hw2tune.study.objectives import objective_of, sign_of
from hw2tune.study.schema import Study

Array = NDArray[np.float64]
SAFE = 0.95  # probability of being best with which a leader has won
THIRD = 3  # one finalist for so many trials: the rest of a small study is not worth a training
DRAWS = 2000  # of the posterior
# Error that all seeds of a configuration share, as a share of the binomial variance p (1 - p) / images of an accuracy.
# Most of that variance is common to all configurations (the same images are hard for all) or differs between seeds. On
# the tables of `benchmarks.search` validation and test of one configuration differ by 0.05 (mnist-5k, 95 % interval up
# to 0.10) and 0.04 of it (cross-entropy, up to 0.16), and by nothing measurable on cifar10-5k (up to 0.01).
IMAGE_SHARE = 0.1
ALIKE = 1e-9  # of a value: what differs by less is the same but for rounding
DEAD = 3.0  # normal deviations below the median of the complete trials: dead trials are no part of a normal prior
FAR_ABOVE = 4.0  # above it: 1 to 2 % of 10 to 40 sound trials are lost by it, and 4 % where half are dead (simulated)


def finalists(study: Study, race: int) -> int:
    """Return the number of finalists asked for, or as many as the budget has trainings for; the best one for none."""
    return race if study.race_trainings is None else max(1, min(race, study.race_trainings))


def candidates(overview: Overview, race: int, *, within_budget: bool = True) -> list[TrialRow]:
    """Return the best `race` trials, pruned or not, no configuration twice, and at most the better third of all.

    Unless `within_budget` is False there are no more of them than `finalists`. Raises StudyFolderError if no trial has
    a value.
    """
    ranked = best_first(overview.rows, overview.study.direction)
    if not ranked:
        root, command = overview.folder.root, f"hw2tune study {overview.folder.study_name}"
        way = f"`{command}` goes on with the search"
        if overview.is_complete:
            moved = f"move {root} away, and `{command}` searches again"
            way = f"correct the cause, {moved if overview.folder.is_arm else f'and `{command} --fresh` searches again'}"
        raise StudyFolderError(f"{root}: no trial has a value, so there is nothing to replicate; {way}")
    distinct: dict[object, TrialRow] = {}
    for row in ranked:
        distinct.setdefault(identity(overview.study.complete(row.params)), row)
    most = finalists(overview.study, race) if within_budget else race
    return list(distinct.values())[: min(most, math.ceil(len(ranked) / THIRD))]


@dataclass
class Finalists:
    """State of a race: larger values are better.

    `search` (K,) are values of the search, None for a trial that was pruned: an early value is not a late one. `others`
    are those of the trials that were trained to the end and did not enter. `values` are the race's, by finalist and
    seed, None if it diverged. `images` is the variance of a finalist's error that all its seeds share, as they are
    validated on the same images. The race has `most` trainings at most, or RACE_EACH a finalist.

    True means on these images are N(centre, `spread`^2 + `images`) over configurations and trainings N(mean,
    `noise`^2). Both deviations are averaged over their posterior, given every value, those of trials that did not enter
    among them: the choice of the finalists by these values then needs no correction.
    """

    search: Sequence[float | None]
    others: Sequence[float] = ()
    images: float = 0.0
    values: list[list[float | None]] = field(default_factory=list)
    most: int | None = None

    def __post_init__(self) -> None:
        self.values = self.values or [[] for _ in self.search]

    def _fitted(self) -> _Fit:
        pairs = zip(self.search, self.values, strict=True)
        finalists = [[one for one in (search, *values) if one is not None] for search, values in pairs]
        return _fit(finalists, self.others, self.images)

    def posterior(self) -> Array:
        """Return the expected quality (K,) of the finalists, on any images; -inf for a finalist that diverged."""
        diverged = np.array([None in values for values in self.values])
        if diverged.all():  # there may be no value at all
            return np.full(len(diverged), -np.inf)
        fit, count = self._fitted(), len(self.search)
        mean = fit.centre[:, None] + fit.quality[:, None] * (fit.mean - fit.centre[:, None])[:, :count]
        return np.where(diverged, -np.inf, fit.weight @ mean)

    def chances(self, *, images: bool = True) -> Array:
        """Return the probability of each finalist to be the best (K,), on any images or on these alone."""
        diverged = np.array([None in values for values in self.values])
        if diverged.all():
            return np.full(len(diverged), 1 / len(diverged))
        fit, normal = self._fitted(), _standard_normal(2 * len(diverged) + 1)
        at, centre, drawn = self._drawn(fit, normal)
        if images:
            quality = fit.quality[at, None]
            error = np.sqrt(self.images * quality) * normal[:, len(diverged) : -1]
            drawn = centre + quality * (drawn - centre) + error
        best = np.where(diverged, -np.inf, drawn).argmax(1)
        return np.bincount(best, minlength=len(diverged)) / DRAWS

    def _drawn(self, fit: _Fit, normal: Array) -> tuple[NDArray[np.intp], Array, Array]:
        """Return draws by these normal ones: places in the grid, the centre (DRAWS, 1), true means (DRAWS, K)."""
        count = len(self.values)
        at = np.searchsorted(fit.weight.cumsum(), (np.arange(DRAWS) + 0.5) / DRAWS).clip(max=len(fit.weight) - 1)
        centre = fit.centre[at, None] + fit.centre_deviation[at, None] * normal[:, -1:]
        own = fit.own[at, :count]
        drawn = own * fit.observed[:count] + (1 - own) * centre
        return at, centre, drawn + fit.deviation[at, :count] * normal[:, :count]

    def futures(self, count: int, seeds: int) -> Array:
        """Return so many draws of values on further seeds (count, K, seeds); none before any value is known."""
        known = [value for values in (self.search, self.others, *self.values) for value in values]
        if not any(value is not None for value in known):
            return np.empty((0, len(self.values), seeds))
        fit, normal = self._fitted(), _standard_normal(2 * len(self.values) + 1)
        at, _, means = self._drawn(fit, normal)
        every = (np.arange(count) * DRAWS + DRAWS // 2) // count
        luck = np.random.default_rng(1).standard_normal((count, len(self.values), seeds))
        return means[every, :, None] + fit.noise[at[every], None, None] * luck

    @property
    def limit(self) -> int:
        """The trainings that the race has at most: one each, then pairs."""
        count = len(self.search)
        most = RACE_EACH * count if self.most is None else min(self.most, RACE_EACH * count)
        return count if count == 1 else count + max(0, most - count) // 2 * 2

    def next(self) -> list[int]:
        """Return the finalists to train next, each on its next seed; none if the race is over."""
        if untried := [number for number, values in enumerate(self.values) if not values]:
            return untried
        if sum(map(len, self.values)) >= self.limit:
            return []
        chances = self.chances(images=False)  # more seeds do not change the images
        if chances.max() > SAFE:
            return []
        return [int(number) for number in np.argsort(-chances, kind="stable")[:2]]

    @property
    def winner(self) -> int:
        """The finalist with the best posterior mean, the first of ties, up to rounding."""
        means = self.posterior()
        return int(np.argmax(means >= means.max() - ALIKE * np.abs(means.max())))


@cache
def _standard_normal(count: int) -> Array:
    """Return (DRAWS, count) draws, always the same: a race that is run again has the same course."""
    return np.random.default_rng(0).standard_normal((DRAWS, count))


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Posterior of a race's model on a grid of (H,) pairs of deviations, for (G,) configurations."""

    weight: Array  # (H,), 1 in all
    noise: Array  # (H,) deviation of a seed's value
    centre: Array  # (H,) with its deviation
    centre_deviation: Array
    quality: Array  # (H,) the part of the variance between configurations that is not of the images
    observed: Array  # (G,) the mean of the values
    own: Array  # (H, G) its weight against the centre
    deviation: Array  # (H, G) of the true mean

    @property
    def mean(self) -> Array:
        """The true means (H, G) on these images."""
        return self.own * self.observed + (1 - self.own) * self.centre[:, None]


def _fit(finalists: Sequence[Sequence[float]], others: Sequence[float], images: float) -> _Fit:
    """Fit the random-effects model by its likelihood on a grid, its centre integrated out.

    The prior is flat in the logarithm of the noise and in spread / (spread + noise).
    """
    counts = np.array([*map(len, finalists), *(1 for _ in others)])
    observed = np.array([*(sum(one) / max(1, len(one)) for one in finalists), *others])
    within = np.array(
        [*(sum((v - sum(one) / len(one)) ** 2 for v in one) for one in finalists), *(0.0 for _ in others)]
    )
    known = np.array([*(value for one in finalists for value in one), *others])
    scale = max(float(np.std(known)), ALIKE * float(np.abs(known).max())) or 1e-12
    noise, ratio = (axis.ravel() for axis in np.meshgrid(scale * np.geomspace(0.03, 3, 24), (np.arange(16) + 0.5) / 16))
    noise, of_quality = noise[:, None] ** 2, (noise * ratio / (1 - ratio))[:, None] ** 2
    spread = of_quality + images
    own = counts * spread / (counts * spread + noise)
    precision = own / spread  # of an observed mean around the centre; 0 without a value
    total = precision.sum(1)
    centre = (precision * observed).sum(1) / total
    seen = counts > 0
    terms = (counts - 1) * np.log(noise) + within / noise - np.log(np.where(seen, precision, 1.0))
    terms += precision * (observed - centre[:, None]) ** 2
    likelihood = -0.5 * (np.where(seen, terms, 0.0).sum(1) + np.log(total))
    weight = np.exp(likelihood - likelihood.max())
    return _Fit(
        weight=weight / weight.sum(),
        noise=noise[:, 0] ** 0.5,
        centre=centre,
        centre_deviation=total**-0.5,
        quality=(of_quality / spread)[:, 0],
        observed=observed,
        own=own,
        deviation=np.sqrt(spread * noise / (counts * spread + noise)),
    )


def images_variance(objective: str, values: Sequence[float], images: int) -> float:
    """Return the variance of the error shared by all seeds of a configuration; 0 if the objective is no percentage."""
    if objective_of(objective).unit != "%":
        return 0.0
    share = float(np.clip(np.mean(values), 0, 1))
    return IMAGE_SHARE * share * (1 - share) / images


def living(rows: Iterable[TrialRow], direction: str = "maximize") -> list[TrialRow]:
    """Return the trials that were trained to the end and are not dead.

    A best value far above the median says that half of the trials are dead: then the better half is looked at alone.
    """
    complete = [row for row in rows if row.state == COMPLETE and row.value is not None]
    values = sign_of(direction) * np.array([row.value for row in complete], np.float64)
    part = np.sort(values)
    while len(part) > 2 and part[-1] > _middle(part, "lower")[0] + FAR_ABOVE * _middle(part, "lower")[1]:
        part = part[len(part) // 2 :]
    middle, deviation = _middle(part, "linear") if complete else (0.0, 0.0)
    return [row for row, value in zip(complete, values, strict=True) if value >= middle - DEAD * deviation]


def _middle(values: Array, method: Literal["lower", "linear"]) -> tuple[float, float]:
    """Return the median and the normal deviation that the median absolute deviation tells."""
    middle = np.quantile(values, 0.5, method=method)
    return float(middle), 1.4826 * float(np.quantile(np.abs(values - middle), 0.5, method=method))


def run_race(
    rows: Sequence[TrialRow],
    every: Iterable[TrialRow] = (),
    *,
    objective: str,
    direction: str,
    images: int,
    seeds: Sequence[int],
    train: Callable[[Course], None],
    trainings: int | None = None,
) -> Race:
    """Run the race of `rows` among `every` trial, on so many validation `images`, with so many `trainings` at most.

    `train` trains what a course wants until it is over; its values are the objective's. Without trainings the best
    trial wins, and nothing is known of its chance to be the best.
    """
    if trainings == 0:
        only = Candidate(trial=rows[0].number, params=rows[0].params, search_value=rows[0].value or 0.0, values=[])
        return Race(objective=objective, direction=direction, seeds=[], candidates=[only], winner=only.trial)
    sign = sign_of(direction)
    entered = {row.number for row in rows}
    known = Finalists(
        [sign * (row.value or 0.0) if row.state == COMPLETE else None for row in rows],
        [sign * (row.value or 0.0) for row in living(every, direction) if row.number not in entered],
        images_variance(objective, [row.value or 0.0 for row in rows], images),
        most=trainings,
    )
    train(Course(known, sign))
    mean, chances = known.posterior(), known.chances()
    candidates = [
        Candidate(
            trial=row.number,
            params=row.params,
            search_value=row.value or 0.0,
            values=[None if value is None else sign * value for value in known.values[number]],
            expected=sign * float(mean[number]) if np.isfinite(mean[number]) else None,
            probability=float(chances[number]),
        )
        for number, row in enumerate(rows)
    ]
    used = list(seeds[: max(len(one.values) for one in candidates)])
    winner = rows[known.winner].number
    return Race(
        objective=objective, direction=direction, seeds=used, candidates=candidates, winner=winner,
        image_error=known.images**0.5,
    )  # fmt: skip
