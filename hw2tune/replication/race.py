"""The race for the trial that is best on average over seeds that neither search nor claims use.

Each finalist is trained on a first seed, and then in pairs the leader and its likeliest rival on their next ones, until
the leader is safe or the race has had its trainings. What counts is the posterior mean: the search's value and the
race's of a finalist, drawn towards the mean of all (empirical Bayes), as the best of many is partly lucky.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hw2tune.errors import StudyFolderError
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Candidate, Race
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.study.hyperparameters import identity
from hw2tune.study.objectives import sign_of

SAFE = 0.95  # probability of being best with which a leader has won
THIRD = 3  # one finalist for so many trials: the rest of a small study is not worth a training
TRAININGS = 2  # a finalist, on average, at most
DRAWS = 4000  # of the posterior


def candidates(overview: Overview, race: int) -> list[TrialRow]:
    """Return the best `race` trials, pruned or not, no configuration twice, and at most the better third of all.

    Raises StudyFolderError if no trial has a value.
    """
    ranked = best_first(overview.rows, overview.study.direction)
    if not ranked:
        raise StudyFolderError(
            f"{overview.folder.root}: no trial has a value, so there is nothing to replicate; "
            f"`hw2tune study {overview.study.name}` goes on with the search"
        )
    distinct: dict[object, TrialRow] = {}
    for row in ranked:
        distinct.setdefault(identity(overview.study.complete(row.params)), row)
    return list(distinct.values())[: min(race, math.ceil(len(ranked) / THIRD))]


@dataclass
class Finalists:
    """State of a race. `search` (K,) and `values`, by finalist and seed: larger is better, None if it diverged."""

    search: Sequence[float]
    values: list[list[float | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = self.values or [[] for _ in self.search]

    def posterior(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return means and standard deviations (K,) of the finalists' true means; -inf for a finalist that diverged."""
        pairs = zip(self.search, self.values, strict=True)
        seen = [[search, *(one for one in values if one is not None)] for search, values in pairs]
        counts = np.array([len(one) for one in seen])
        means = np.array([np.mean(one) for one in seen])
        within = sum(float(np.var(one)) * len(one) for one in seen)
        noise = within / max(1, int(counts.sum()) - len(seen)) or 1e-12
        spread = max(float(np.var(means, ddof=1)) - noise / counts.mean(), 0.1 * noise) if len(seen) > 1 else noise
        precision = counts / noise + 1 / spread
        mean = (counts / noise * means + means.mean() / spread) / precision
        diverged = np.array([None in values for values in self.values])
        return np.where(diverged, -np.inf, mean), 1 / np.sqrt(precision)

    def chances(self) -> NDArray[np.float64]:
        """Return the probability of each finalist to be the best (K,)."""
        mean, deviation = self.posterior()
        if not np.isfinite(mean).any():
            return np.full(len(mean), 1 / len(mean))
        drawn = mean + deviation * _standard_normal(len(mean))
        return np.bincount(drawn.argmax(1), minlength=len(mean)) / DRAWS

    def next(self) -> list[int]:
        """Return the finalists to train next, each on its next seed; none if the race is over."""
        if untried := [number for number, values in enumerate(self.values) if not values]:
            return untried
        chances, had = self.chances(), sum(map(len, self.values))
        if len(chances) == 1 or chances.max() > SAFE or had + 2 > TRAININGS * len(chances):
            return []
        return [int(number) for number in np.argsort(-chances, kind="stable")[:2]]

    @property
    def winner(self) -> int:
        """The finalist with the best posterior mean, the first of ties."""
        return int(self.posterior()[0].argmax())


@cache
def _standard_normal(count: int) -> NDArray[np.float64]:
    """Return (DRAWS, count) draws, always the same: a race that is run again has the same course."""
    return np.random.default_rng(0).standard_normal((DRAWS, count))


def run_race(
    rows: Sequence[TrialRow],
    *,
    objective: str,
    direction: str,
    seeds: Sequence[int],
    train: Callable[[list[tuple[TrialRow, int]]], list[float | None]],
) -> Race:
    """Run the race. `train` returns for each trial and seed the objective's best value, None if it diverged."""
    sign = sign_of(direction)
    known = Finalists([sign * (row.value or 0.0) for row in rows])
    while numbers := known.next():
        values = train([(rows[number], seeds[len(known.values[number])]) for number in numbers])
        for number, value in zip(numbers, values, strict=True):
            known.values[number].append(None if value is None else sign * value)
    mean, chances = known.posterior()[0], known.chances()
    entered = [
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
    used = list(seeds[: max(len(one.values) for one in entered)])
    winner = rows[known.winner].number
    return Race(objective=objective, direction=direction, seeds=used, candidates=entered, winner=winner)
