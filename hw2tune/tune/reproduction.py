"""The published runs again, exactly as published, with the honest evaluation beside the published one."""

from __future__ import annotations

from hw2tune.data.dataset import Dataset
from hw2tune.records.folder import StudyFolder
from hw2tune.records.replicates import Evaluation, Replicate, ReplicatesFolder, npz, read_replicates, write_replicate
from hw2tune.records.states import COMPLETE
from hw2tune.records.trainings import training_key
from hw2tune.study.protocol import Protocol
from hw2tune.study.schema import LABELS, Study
from hw2tune.tune.observer import Observer
from hw2tune.tune.room import Room
from hw2tune.tune.training_tasks import Finished, Job, Published, train_all
from hw2tune.tune.trial import TrialData


def run_reproduction(
    study: Study,
    protocol: Protocol,
    folder: StudyFolder,
    *,
    data: Dataset,
    room: Room,
    observer: Observer,
    code: str,
    replicates: int,
) -> None:
    """Trains baseline and L2 on `replicates` seeds; what is there is not trained again."""
    place = ReplicatesFolder.of(folder)
    there = {replicate.key for replicate in read_replicates(place)}
    jobs = [_job(study, label, seed, data=data, code=code) for seed in range(replicates) for label in LABELS]
    missing = [job for job in jobs if job.key not in there]
    observer.replicating(study, total=len(missing), cached=len(jobs) - len(missing), room=room)
    published = Published(test=data.test, evaluated=protocol.evaluated)
    total = len(data.train if protocol.evaluated == "train" else data.test)
    trial_data = TrialData(info=data.info, train=data.train, validation=data.validation)
    for finished in train_all(missing, trial_data, room, observer, published=published):
        write_replicate(place, _replicate(study, protocol, finished, total=total), npz({}))


def _job(study: Study, label: str, seed: int, *, data: Dataset, code: str) -> Job:
    hyperparameters = study.published_hyperparameters(label)
    key = training_key(
        {
            "reproduction": label,
            "seed": seed,
            "max_epochs": study.max_epochs,
            "hyperparameters": hyperparameters.as_dict(),
            "data": data.checksum,
            "split": data.split_checksum,
            "code": code,
        }
    )
    return Job(
        key=key,
        label=f"{label} seed {seed}",
        model=study.model,
        loss=study.loss,
        hyperparameters=hyperparameters,
        seed=seed,
        max_epochs=study.max_epochs,
        objective=study.objective,
    )


def _replicate(study: Study, protocol: Protocol, finished: Finished, *, total: int) -> Replicate:
    job, last = finished.job, finished.epochs[-1]
    accuracy = last["published_test_accuracy"]
    evaluation = Evaluation(
        split=protocol.evaluated,
        epoch=last["epoch"],
        loss=last["published_test_loss"],
        accuracy=accuracy,
        correct=round(accuracy * total),
        total=total,
        overlaps_training=protocol.evaluated == "train",
    )
    return Replicate(
        study=study.name,
        variant=job.label.split()[0],
        seed=job.seed,
        params=job.hyperparameters.as_dict(),
        model=study.model,
        loss=study.loss,
        state=COMPLETE,
        reason="",
        epochs=finished.epochs,
        chosen=None,
        last=evaluation,
        seconds=sum(epoch["epoch_seconds"] for epoch in finished.epochs),
        key=job.key,
    )
