"""The part of a search that a race chose among: a search can go on after its race, until the next one."""

from __future__ import annotations

from itertools import takewhile

from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Race
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.study.hyperparameters import identity
from hw2tune.study.objectives import sign_of


def later_rows(search: Overview, race: Race) -> list[TrialRow]:
    """Return the trials that ended after a race, and had no part in its choice.

    A race of an earlier version noted no trials. Known to be later are then those from the first one on that the race
    would not have left out: it is better than a finalist, and ended when all finalists had.
    """
    if race.trials is not None:
        there = set(race.trials)
        return [row for row in search.finished if row.number not in there]
    ends = {trial.number: trial.datetime_complete for trial in search.trials if trial.datetime_complete}
    last = max((ends[one.trial] for one in race.candidates if one.trial in ends), default=None)
    entered = [
        ends[number] for number in _better(search, race) if number in ends and last is not None and ends[number] > last
    ]
    first = min(entered, default=None)
    if first is None:
        return []
    return [row for row in search.finished if row.number in ends and ends[row.number] >= first]


def _better(search: Overview, race: Race) -> list[int]:
    """Return the trials of today that are better than the last finalist and train otherwise than any of them."""
    complete, sign = search.study.complete, sign_of(race.direction)
    known, last = {identity(complete(one.params)) for one in race.candidates}, race.candidates[-1]
    ahead = takewhile(
        lambda row: (-sign * (row.value or 0.0), row.number) < (-sign * last.search_value, last.trial),
        best_first(search.rows, race.direction),
    )
    return [row.number for row in ahead if identity(complete(row.params)) not in known]
