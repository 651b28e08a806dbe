"""Replicates of a study: a race for the winner on validation, then what the claims name on other seeds, tested last.

A training depends on its configuration, seed, data and code alone and is kept under a key of these, so that a second
call trains nothing, and an interrupted one continues. Search, race and claims share no seed: what is lucky in one of
them is not in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners
from hw2tune.execution.connection import Connection
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Race, ReplicatesFolder, Training
from hw2tune.records.trials.rows import TrialRow
from hw2tune.replication.evaluate import test_replicates, write_shared_records
from hw2tune.replication.race import TRAININGS, candidates, run_race
from hw2tune.replication.train import Context, train_missing
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import TUNED, Side, Study
from hw2tune.train.task import Job, task_of

RACE_SEEDS = 1001  # from the study's own


def run_replicates(
    overview: Overview, *, data: Dataset, connection: Connection, tell: Listeners, replicates: int, race: int
) -> None:
    """Train and test the missing replicates. The guard has passed `data`; the study's folder is locked."""
    study = overview.study
    folder = ReplicatesFolder.of(overview.folder)
    context = Context(study=study, folder=folder, data=data, connection=connection, tell=tell)
    gallery = write_shared_records(context)
    seeds = claim_seeds(study, replicates)
    variants = {name: side for name, side in study.variants.items() if side.of != TUNED}
    configurations = {name: _configuration(study, side, {}) for name, side in variants.items()}
    jobs, outcome = _jobs(study, configurations, seeds), None
    trainings = train_missing(context, list(jobs.values()))
    if len(variants) < len(study.variants):
        outcome = _race(replace(context, trainings={}), overview, race)  # whose weights are not kept in memory
        winner = next(one.params for one in outcome.candidates if one.trial == outcome.winner)
        configurations = {name: _configuration(study, side, winner) for name, side in study.variants.items()}
        jobs = _jobs(study, configurations, seeds)
        trainings = train_missing(context, list(jobs.values()))
    test_replicates(context, configurations, dict(zip(jobs, trainings, strict=True)), gallery, outcome)


def claim_seeds(study: Study, replicates: int) -> list[int]:
    """Return the seeds of the claims: after the study's own, on which the search trains."""
    return [study.seed + 1 + number for number in range(replicates)]


def race_seeds(study: Study, race: int) -> list[int]:
    """Return the seeds of a race of so many finalists: far after those of any claim."""
    return [study.seed + RACE_SEEDS + number for number in range(TRAININGS * race)]


def _race(context: Context, overview: Overview, race: int) -> Race:
    study = overview.study

    def train(pairs: list[tuple[TrialRow, int]]) -> list[float | None]:
        jobs = [
            Job(
                label=f"race: trial {row.number} seed {seed}",
                task=task_of(study, study.hyperparameters(row.params), seed),
            )
            for row, seed in pairs
        ]
        return [_value(training, study.objective) for training in train_missing(context, jobs)]

    rows = candidates(overview, race)
    return run_race(
        rows, objective=study.objective, direction=study.direction, seeds=race_seeds(study, len(rows)), train=train
    )


def _value(training: Training, objective: str) -> float | None:
    if training.diverged or training.chosen_epoch is None:
        return None
    return float(training.epochs[training.chosen_epoch - 1][objective])


def _configuration(study: Study, side: Side, winner: Mapping[str, Value]) -> Hyperparameters:
    return study.hyperparameters({**(winner if side.of == TUNED else study.references[side.of]), **side.changes})


def _jobs(
    study: Study, configurations: Mapping[str, Hyperparameters], seeds: Sequence[int]
) -> dict[tuple[str, int], Job]:
    return {
        (variant, seed): Job(label=f"{variant} seed {seed}", task=task_of(study, hyperparameters, seed))
        for seed in seeds
        for variant, hyperparameters in configurations.items()
    }
