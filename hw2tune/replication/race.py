"""The race: which of the best trials is best on average over seeds that the search did not use."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from hw2tune.errors import StudyFolderError
from hw2tune.records.overview import Overview
from hw2tune.records.replicates.records import Candidate, Race
from hw2tune.records.replicates.trainings import Training
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import COMPLETE
from hw2tune.replication.train import Context, trained
from hw2tune.study.hyperparameters import identity


def candidates(overview: Overview, race: int) -> list[TrialRow]:
    """The best `race` trials that were trained to the end, no configuration twice.

    Raises StudyFolderError where none was.
    """
    complete = [row for row in overview.rows if row.state == COMPLETE]
    if not complete:
        raise StudyFolderError(
            f"{overview.folder.root}: no trial is complete, so there is nothing to replicate; "
            f"`hw2tune study {overview.study.name}` goes on with the search"
        )
    distinct: dict[Any, TrialRow] = {}
    for row in best_first(complete, overview.study.direction):
        distinct.setdefault(identity(overview.study.complete(row.params)), row)
    return list(distinct.values())[:race]


def run_race(context: Context, racers: Sequence[TrialRow], seeds: Sequence[int]) -> Race:
    """The winner is best on average over the seeds; a diverged seed puts a candidate last."""
    study = context.study
    runners = [
        Candidate(
            trial=row.number,
            params=row.params,
            search_value=row.value or 0.0,
            values=[
                _value(trained(context, study.hyperparameters(row.params), seed), study.objective) for seed in seeds
            ],
        )
        for row in racers
    ]
    winner = min(runners, key=lambda runner: rank(runner, study.direction))
    return Race(
        objective=study.objective, direction=study.direction, seeds=list(seeds), candidates=runners,
        winner=winner.trial,
    )  # fmt: skip


def rank(runner: Candidate, direction: str) -> tuple[int, float]:
    """Smaller is better: the number of diverged seeds, then the mean over the others."""
    values = [value for value in runner.values if value is not None]
    mean = fmean(values) if values else 0.0
    return len(runner.values) - len(values), mean if direction == "minimize" else -mean


def _value(training: Training, objective: str) -> float | None:
    if training.diverged or training.chosen_epoch is None:
        return None
    return float(training.epochs[training.chosen_epoch - 1][objective])
