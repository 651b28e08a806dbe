"""Replicates of a study: a race for the winner on validation, then what the claims name on other seeds, tested last.

A training depends on its configuration, seed, data and code alone and is kept under a key of these, so that a second
call trains nothing, and an interrupted one continues. Search, race and claims share no seed: what is lucky in one of
them is not in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners
from hw2tune.execution.connection import Connection
from hw2tune.records.overview import Overview
from hw2tune.records.replicates.records import Race, ReplicatesFolder
from hw2tune.records.replicates.trainings import Training
from hw2tune.records.trials.rows import TrialRow
from hw2tune.replication.evaluate import test_replicates, write_shared_records
from hw2tune.replication.race import TRAININGS, candidates, run_race
from hw2tune.replication.train import Context, train_missing, trained
from hw2tune.study.claims import TUNED, Side
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import Study
from hw2tune.train.task import Job, task_of

RACE_SEEDS = 1001  # from the study's own


def run_replicates(
    overview: Overview, *, data: Dataset, connection: Connection, tell: Listeners, replicates: int, race: int
) -> None:
    """Trains and tests what is not there yet. The guard has passed `data`; the study's folder is locked."""
    study = overview.study
    folder = ReplicatesFolder.of(overview.folder)
    context = Context(study=study, folder=folder, data=data, connection=connection, tell=tell)
    gallery = write_shared_records(context)
    seeds = claim_seeds(study, replicates)
    variants = {name: side for name, side in study.variants.items() if side.of != TUNED}
    configurations = {name: study.hyperparameters(_of_side(study, side, {})) for name, side in variants.items()}
    train_missing(context, _jobs(study, configurations, seeds))
    outcome = None
    if len(variants) < len(study.variants):
        outcome = _race(context, overview, race)
        winner = next(one.params for one in outcome.candidates if one.trial == outcome.winner)
        configurations = {
            name: study.hyperparameters(_of_side(study, side, winner)) for name, side in study.variants.items()
        }
        train_missing(context, _jobs(study, configurations, seeds))
    test_replicates(context, configurations, seeds, gallery, outcome)


def claim_seeds(study: Study, replicates: int) -> list[int]:
    """The seeds of the claims: behind the study's own, on which the search trains."""
    return [study.seed + 1 + number for number in range(replicates)]


def race_seeds(study: Study, race: int) -> list[int]:
    """The seeds of a race of so many finalists: far behind those of any claim."""
    return [study.seed + RACE_SEEDS + number for number in range(TRAININGS * race)]


def _race(context: Context, overview: Overview, race: int) -> Race:
    study = overview.study

    def train(pairs: list[tuple[TrialRow, int]]) -> list[float | None]:
        configurations = [(study.hyperparameters(row.params), seed) for row, seed in pairs]
        jobs = [
            Job(label=f"race: trial {row.number} seed {seed}", task=task_of(study, configuration, seed))
            for (row, _), (configuration, seed) in zip(pairs, configurations, strict=True)
        ]
        train_missing(context, jobs)
        return [_value(trained(context, one, seed), study.objective) for one, seed in configurations]

    rows = candidates(overview, race)
    return run_race(
        rows, objective=study.objective, direction=study.direction, seeds=race_seeds(study, len(rows)), train=train
    )


def _value(training: Training, objective: str) -> float | None:
    if training.diverged or training.chosen_epoch is None:
        return None
    return float(training.epochs[training.chosen_epoch - 1][objective])


def _of_side(study: Study, side: Side, winner: Mapping[str, Value]) -> dict[str, Value]:
    return {**(winner if side.of == TUNED else study.references[side.of]), **side.changes}


def _jobs(study: Study, configurations: Mapping[str, Hyperparameters], seeds: Sequence[int]) -> list[Job]:
    return [
        Job(label=f"{name} seed {seed}", task=task_of(study, hyperparameters, seed))
        for seed in seeds
        for name, hyperparameters in configurations.items()
    ]
