"""The trainings behind replicates: what is there under its key is not trained again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners, ReplicationStarted
from hw2tune.execution.connection import Connection
from hw2tune.execution.resources import Capacity
from hw2tune.records.replicates.records import ReplicatesFolder, chosen_blindly
from hw2tune.records.replicates.trainings import Training, read_training, write_training
from hw2tune.replication.keys import key_of
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study
from hw2tune.text.numbers import listed
from hw2tune.train.task import Job, TrialData, task_of


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every training of one study shares."""

    study: Study
    folder: ReplicatesFolder
    data: Dataset
    connection: Connection
    tell: Listeners

    @property
    def capacity(self) -> Capacity:
        """How many trainings run at once, and on what."""
        return self.connection.capacity()


def train_missing(context: Context, jobs: Sequence[Job]) -> None:
    """Trains what is not there. Jobs of one key are one training; where none is missing, Ray is not needed."""
    unique, missing = _missing(context, jobs)
    if blind := [one.label for key, one in missing.items() if read_training(context.folder.trainings, key)]:
        context.tell.note(
            f"{listed(blind)}: trained again, as version 0.1 chose an epoch without a finite {context.study.objective}"
        )
    if missing:  # from here on Ray says what there is, and it may see other devices than we do
        context.connection.cluster()
        unique, missing = _missing(context, jobs)
    capacity, cached = context.capacity, len(unique) - len(missing)
    folder = str(context.folder.root.parent)
    context.tell(
        ReplicationStarted(study=context.study, total=len(missing), cached=cached, capacity=capacity, folder=folder)
    )
    if not missing:
        return
    from hw2tune.execution.tasks import train_all

    data = TrialData(info=context.data.info, train=context.data.train, validation=context.data.validation)
    for job, result in train_all(list(missing.values()), data, capacity, context.tell):
        training = Training(
            key=key_of(job.task, context.data, capacity),
            epochs=result.epochs,
            chosen_epoch=result.chosen_epoch,
            diverged=result.diverged,
            label=job.label,
            params=job.task.hyperparameters.as_dict(),
            arrays=result.arrays,
        )
        write_training(context.folder.trainings, training)


def _missing(context: Context, jobs: Sequence[Job]) -> tuple[dict[str, Job], dict[str, Job]]:
    """The jobs by key: all, and those that are not there or chose their epoch blindly."""
    capacity = context.capacity
    unique = {key_of(one.task, context.data, capacity): one for one in jobs}
    there = {key: read_training(context.folder.trainings, key) for key in unique}
    objective = context.study.objective
    sound = {key for key, one in there.items() if one and not chosen_blindly(one.epochs, one.chosen_epoch, objective)}
    return unique, {key: one for key, one in unique.items() if key not in sound}


def trained(context: Context, hyperparameters: Hyperparameters, seed: int) -> Training:
    """A training that `train_missing` has seen to."""
    key = key_of(task_of(context.study, hyperparameters, seed), context.data, context.capacity)
    training = read_training(context.folder.trainings, key)
    assert training is not None, "trained before it is read"
    return training
