"""The published runs again, exactly as published, with the held-out evaluation beside the published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hw2tune.data.dataset import Dataset
from hw2tune.data.splits import overlap
from hw2tune.events import Listeners, ReplicationStarted
from hw2tune.execution.connection import Connection
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import (
    Evaluation,
    ReplicatesFolder,
    npz,
    read_replicates,
    write_current,
    write_replicate,
)
from hw2tune.replication.keys import key_of
from hw2tune.replication.train import replicate_of
from hw2tune.study.published import Protocol
from hw2tune.study.schema import Study
from hw2tune.train.task import Job, PublishedEvaluation, TrialData, task_of


def run_reproduction(
    study: Study,
    protocol: Protocol,
    folder: StudyFolder,
    *,
    data: Dataset,
    connection: Connection,
    tell: Listeners,
    replicates: int,
) -> None:
    """Train the study's references on `replicates` seeds; a run that is kept is not trained again."""
    place = ReplicatesFolder.of(folder)
    capacity = connection.capacity()
    jobs: dict[str, tuple[str, Job]] = {}  # by key, with the variant
    for seed in range(replicates):
        for variant in study.references:
            label, task = f"{variant} seed {seed}", task_of(study, study.reference(variant), seed)
            key = key_of(task, data, capacity, reproduction=protocol.evaluated, run=label)
            jobs[key] = (variant, Job(label=label, task=task, key=key))
    write_current(place, jobs)
    kept = {replicate.key for replicate in read_replicates(place)}
    missing = [job for key, (_, job) in jobs.items() if key not in kept]
    started = ReplicationStarted(
        study=study, total=len(missing), cached=len(jobs) - len(missing), capacity=capacity, folder=str(folder.root)
    )
    tell(started)
    if not missing:
        return
    connection.cluster()
    from hw2tune.execution.tasks import train_all

    evaluated = data.train if protocol.evaluated == "train" else data.test
    overlaps = overlap(data.train, evaluated) > 0
    trial_data = TrialData(info=data.info, train=data.train, validation=data.validation)
    published = PublishedEvaluation(test=data.test, evaluated=protocol.evaluated)
    for training in train_all(missing, trial_data, capacity, tell, published=published):
        variant, job = jobs[training.key]
        last = _evaluation(protocol, training.epochs[-1], len(evaluated), overlaps) if training.epochs else None
        task, key = job.task, training.key
        record = replicate_of(study, variant, task.seed, task.hyperparameters, training, key=key)
        write_replicate(place, replace(record, last=last), npz({}))


def _evaluation(protocol: Protocol, last: Mapping[str, Any], total: int, overlaps: bool) -> Evaluation:
    accuracy = last["published_test_accuracy"]
    return Evaluation(
        split=protocol.evaluated,
        epoch=last["epoch"],
        loss=last["published_test_loss"],
        accuracy=accuracy,
        correct=round(accuracy * total),
        total=total,
        overlaps_training=overlaps,
    )
