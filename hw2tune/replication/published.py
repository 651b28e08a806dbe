"""The published runs again, exactly as published, with the held-out evaluation beside the published one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hw2tune.data.dataset import Dataset
from hw2tune.data.guard import overlap
from hw2tune.events import Listeners, ReplicationStarted
from hw2tune.execution.connection import Connection
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates.files import npz, read_replicates, write_current, write_replicate
from hw2tune.records.replicates.records import Evaluation, Replicate, ReplicatesFolder
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.replication.keys import key_of
from hw2tune.study.published import Protocol
from hw2tune.study.schema import Study
from hw2tune.train.task import Job, PublishedEvaluation, TrainingResult, TrialData, task_of


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
    """Trains the study's references on `replicates` seeds; what is there is not trained again."""
    place = ReplicatesFolder.of(folder)
    capacity = connection.capacity()
    published = {label: study.reference(label) for label in study.references}
    asked = [
        Job(label=f"{label} seed {seed}", task=task_of(study, hyperparameters, seed))
        for seed in range(replicates)
        for label, hyperparameters in published.items()
    ]
    jobs = {key_of(job.task, data, capacity, reproduction=protocol.evaluated, run=job.label): job for job in asked}
    write_current(place, jobs)
    there = {replicate.key for replicate in read_replicates(place)}
    missing = [job for key, job in jobs.items() if key not in there]
    started = ReplicationStarted(
        study=study, total=len(missing), cached=len(jobs) - len(missing), capacity=capacity, folder=str(folder.root)
    )
    tell(started)
    if not missing:
        return
    connection.cluster()
    from hw2tune.execution.tasks import train_all

    protocol_of = PublishedEvaluation(test=data.test, evaluated=protocol.evaluated)
    evaluated = data.train if protocol.evaluated == "train" else data.test
    overlaps = overlap(data.train, evaluated) > 0
    keys = {job.label: key for key, job in jobs.items()}
    trial_data = TrialData(info=data.info, train=data.train, validation=data.validation)
    for job, result in train_all(missing, trial_data, capacity, tell, published=protocol_of):
        write_replicate(
            place,
            _replicate(study, protocol, job, result, keys[job.label], total=len(evaluated), overlaps=overlaps),
            npz({}),
        )


def _replicate(
    study: Study, protocol: Protocol, job: Job, result: TrainingResult, key: str, *, total: int, overlaps: bool
) -> Replicate:
    return Replicate(
        study=study.name,
        variant=job.label.split()[0],
        seed=job.task.seed,
        params=job.task.hyperparameters.as_dict(),
        model=study.model,
        loss=study.loss,
        state=DIVERGED if result.diverged else COMPLETE,
        reason=result.diverged,
        epochs=result.epochs,
        chosen=None,
        last=_evaluation(protocol, result.epochs[-1], total, overlaps) if result.epochs else None,
        seconds=sum(epoch["epoch_seconds"] for epoch in result.epochs),
        key=key,
    )


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
