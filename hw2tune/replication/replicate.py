"""Replicates of a study: a race for the winner on validation, then what the claims name on the same seeds, tested last.

A training depends on its configuration, seed, data and code alone and is kept under a key of these, so that the
winner's race *is* its replicate, a second call trains nothing, and an interrupted one continues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners
from hw2tune.execution.connection import Connection
from hw2tune.records.overview import Overview
from hw2tune.records.replicates.records import ReplicatesFolder
from hw2tune.replication.evaluate import test_replicates, write_shared_records
from hw2tune.replication.race import candidates, run_race
from hw2tune.replication.train import Context, train_missing
from hw2tune.study.claims import TUNED, Side
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import Study
from hw2tune.study.task import Job, task_of


def run_replicates(
    overview: Overview, *, data: Dataset, connection: Connection, tell: Listeners, replicates: int, race: int
) -> None:
    """Trains and tests what is not there yet. The guard has passed `data`; the study's folder is locked."""
    study = overview.study
    folder = ReplicatesFolder.of(overview.folder)
    context = Context(study=study, folder=folder, data=data, connection=connection, tell=tell)
    gallery = write_shared_records(context)
    # The search trained on the study's own seed; race and claims take others, so that its luck there does not count.
    seeds = [study.seed + 1 + number for number in range(replicates)]
    known = {
        name: study.hyperparameters(_of_side(study, side, {}))
        for name, side in study.variants.items()
        if side.of != TUNED
    }
    racers = candidates(overview, race)
    racing = {f"trial {row.number}": study.hyperparameters(row.params) for row in racers}
    train_missing(context, _jobs(study, racing | known, seeds))
    outcome = run_race(context, racers, seeds)
    winner = next(row.params for row in racers if row.number == outcome.winner)
    variants = {name: study.hyperparameters(_of_side(study, side, winner)) for name, side in study.variants.items()}
    ablations = {name: one for name, one in variants.items() if name not in known and name != TUNED}
    if ablations:
        train_missing(context, _jobs(study, ablations, seeds))
    test_replicates(context, variants, seeds, gallery, outcome)


def _of_side(study: Study, side: Side, winner: Mapping[str, Value]) -> dict[str, Value]:
    return {**(winner if side.of == TUNED else study.references[side.of]), **side.changes}


def _jobs(study: Study, configurations: Mapping[str, Hyperparameters], seeds: Sequence[int]) -> list[Job]:
    return [
        Job(label=f"{name} seed {seed}", task=task_of(study, hyperparameters, seed))
        for seed in seeds
        for name, hyperparameters in configurations.items()
    ]
