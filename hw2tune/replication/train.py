"""The trainings behind replicates: each is read from disk once, and trained only if it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners, ReplicationStarted
from hw2tune.execution.connection import Connection
from hw2tune.records.replicates import (
    Replicate,
    ReplicatesFolder,
    Training,
    chosen_blindly,
    read_training,
    write_training,
)
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.replication.keys import key_of
from hw2tune.resources import Capacity
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study
from hw2tune.text.numbers import listed
from hw2tune.train.task import Job, TrialData


@dataclass(frozen=True, kw_only=True)
class Context:
    """State shared by all trainings of one study. `trainings`, by key, are those read or trained so far."""

    study: Study
    folder: ReplicatesFolder
    data: Dataset
    connection: Connection
    tell: Listeners
    trainings: dict[str, Training] = field(default_factory=dict)

    @property
    def capacity(self) -> Capacity:
        """The number of trainings in parallel, and their resources."""
        return self.connection.capacity()


def train_missing(context: Context, jobs: Sequence[Job]) -> list[Training]:
    """Return the training of each job. Jobs of one key are one training; Ray starts only if one is missing."""
    keyed, missing = _missing(context, jobs)
    if blind := [job.label for job in missing if job.key in context.trainings]:
        context.tell.note(
            f"{listed(blind)}: trained again, as version 0.1 chose an epoch without a finite {context.study.objective}"
        )
    if missing:  # a key names its device, and Ray may see other devices than this process
        context.connection.cluster()
        keyed, missing = _missing(context, jobs)
    capacity, cached = context.capacity, len({job.key for job in keyed}) - len(missing)
    folder = str(context.folder.root.parent)
    context.tell(
        ReplicationStarted(study=context.study, total=len(missing), cached=cached, capacity=capacity, folder=folder)
    )
    if missing:
        from hw2tune.execution.tasks import train_all

        data = TrialData(info=context.data.info, train=context.data.train, validation=context.data.validation)
        for training in train_all(missing, data, capacity, context.tell):
            write_training(context.folder.trainings, training)
            context.trainings[training.key] = training
    return [context.trainings[job.key] for job in keyed]


def _missing(context: Context, jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Return the jobs with their keys, and those whose training is missing or chose its epoch blindly."""
    capacity, objective, known = context.capacity, context.study.objective, context.trainings
    keyed = [replace(job, key=key_of(job.task, context.data, capacity)) for job in jobs]
    unique = {job.key: job for job in keyed}
    for key in unique.keys() - known.keys():
        if (training := read_training(context.folder.trainings, key)) is not None:
            known[key] = training
    sound = {key for key, one in known.items() if not chosen_blindly(one.epochs, one.chosen_epoch, objective)}
    return keyed, [job for key, job in unique.items() if key not in sound]


def replicate_of(
    study: Study,
    variant: str,
    seed: int,
    hyperparameters: Hyperparameters,
    training: Training,
    *,
    key: str,
) -> Replicate:
    """Return a training as a replicate of a variant, without evaluations."""
    return Replicate(
        study=study.name,
        variant=variant,
        seed=seed,
        params=hyperparameters.as_dict(),
        model=study.model,
        loss=study.loss,
        state=DIVERGED if training.diverged else COMPLETE,
        reason=training.diverged,
        epochs=training.epochs,
        chosen=None,
        last=None,
        seconds=training.seconds,
        key=key,
    )
