"""Replicates of a study: a race for the winner on validation, then four variants on the same seeds, tested at last.

A training depends on its configuration, seed, data and code alone and is kept under a key of these, so that the
winner's race *is* its replicate, a second call trains nothing, and an interrupted one continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Dataset
from hw2tune.errors import StudyFolderError
from hw2tune.events import Observer
from hw2tune.execution.resources import Room
from hw2tune.execution.tasks import Job, train_all
from hw2tune.execution.tune.trainable import TrialData
from hw2tune.records.overview import Overview
from hw2tune.records.replicates.files import (
    npz,
    read_arrays,
    read_replicates,
    write_current,
    write_replicate,
    write_shared,
)
from hw2tune.records.replicates.records import (
    BASELINE,
    FEATURE_IMAGES,
    GALLERY_SIZE,
    L2,
    TUNED,
    TUNED_NO_L2,
    Candidate,
    DatasetRecord,
    Evaluation,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
)
from hw2tune.records.replicates.trainings import Training, read_training, write_training
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.replication.keys import key_of
from hw2tune.study.hyperparameters import Hyperparameters, identity
from hw2tune.study.schema import Study
from hw2tune.study.task import task_of

if TYPE_CHECKING:
    from hw2tune.data.dataset import Split


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What every training of one study shares."""

    study: Study
    folder: ReplicatesFolder
    data: Dataset
    room: Room
    observer: Observer


def run_replicates(
    overview: Overview, *, data: Dataset, room: Room, observer: Observer, replicates: int, race: int
) -> None:
    """Trains and tests what is not there yet. The guard has passed `data`; the study's folder is held."""
    study = overview.study
    place = Workplace(study=study, folder=ReplicatesFolder.of(overview.folder), data=data, room=room, observer=observer)
    gallery = _write_shared(place)
    # The search trained on the study's own seed; race and claims take others, so that its luck there does not count.
    seeds = [study.seed + 1 + number for number in range(replicates)]
    variants = {label: study.published_hyperparameters(label) for label in (BASELINE, L2)}
    racers = candidates(overview, race)
    jobs = [
        Job(label=f"{name} seed {seed}", task=task_of(study, hyperparameters, seed))
        for seed in seeds
        for name, hyperparameters in [*((f"trial {r.number}", _of(r)) for r in racers), *variants.items()]
    ]
    _train_missing(place, jobs)
    outcome = _race(place, racers, seeds)
    winner = next(_of(row) for row in racers if row.number == outcome.winner)
    variants |= {TUNED: winner, TUNED_NO_L2: replace(winner, weight_decay=0.0)}
    if winner.weight_decay:
        _train_missing(
            place,
            [
                Job(label=f"{TUNED_NO_L2} seed {seed}", task=task_of(study, variants[TUNED_NO_L2], seed))
                for seed in seeds
            ],
        )
    _test(place, variants, seeds, gallery, outcome)


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
        distinct.setdefault(identity(row.params), row)
    return list(distinct.values())[:race]


def _of(row: TrialRow) -> Hyperparameters:
    return Hyperparameters(**row.params)  # type: ignore[arg-type]  # the space draws nothing else


def _train_missing(place: Workplace, jobs: Iterable[Job]) -> None:
    """Trains what is not there. Jobs of one key are one training."""
    unique = {key_of(one.task, place.data, place.room): one for one in jobs}
    missing = {key: one for key, one in unique.items() if read_training(place.folder.trainings, key) is None}
    place.observer.replicating(place.study, total=len(missing), cached=len(unique) - len(missing), room=place.room)
    data = TrialData(info=place.data.info, train=place.data.train, validation=place.data.validation)
    for finished in train_all(list(missing.values()), data, place.room, place.observer):
        training = Training(
            key=key_of(finished.job.task, place.data, place.room),
            epochs=finished.epochs,
            chosen_epoch=finished.chosen_epoch,
            diverged=finished.diverged,
            arrays=finished.arrays,
        )
        write_training(place.folder.trainings, training)


def _trained(place: Workplace, hyperparameters: Hyperparameters, seed: int) -> Training:
    key = key_of(task_of(place.study, hyperparameters, seed), place.data, place.room)
    training = read_training(place.folder.trainings, key)
    assert training is not None, "trained before it is read"
    return training


def _race(place: Workplace, racers: Sequence[TrialRow], seeds: Sequence[int]) -> Race:
    """The winner is best on average over the seeds; a diverged seed puts a candidate last."""
    study = place.study
    runners = [
        Candidate(
            trial=row.number,
            params=row.params,
            search_value=row.value or 0.0,
            values=[_value(_trained(place, _of(row), seed), study.objective) for seed in seeds],
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


def _write_shared(place: Workplace) -> Gallery:
    data = place.data
    indices = np.random.default_rng(0).permutation(len(data.test))[:GALLERY_SIZE]
    gallery = Gallery(indices=indices, images=data.test.images[indices], labels=data.test.labels[indices])
    channels = data.train.images.shape[-1]
    counts = [np.bincount(data.train.images[..., channel].ravel(), minlength=256) for channel in range(channels)]
    write_shared(place.folder, dataset_record(data), gallery, np.stack(counts))
    return gallery


def dataset_record(data: Dataset) -> DatasetRecord:
    """What the report says about the data."""
    return DatasetRecord(
        name=data.info.name,
        label=data.label,
        classes=list(data.info.classes),
        image_shape=list(data.info.image_shape),
        mean=list(data.info.mean),
        std=list(data.info.std),
        checksum=data.checksum,
        split_checksum=data.split_checksum,
        sizes={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        source=data.source,
    )


def _test(
    place: Workplace, variants: dict[str, Hyperparameters], seeds: Sequence[int], gallery: Gallery, race: Race
) -> None:
    """Reads the test images, here and only here: each variant at the epoch that validation chose, and at the last."""
    wanted = [
        (variant, seed, hyperparameters, _trained(place, hyperparameters, seed))
        for variant, hyperparameters in variants.items()
        for seed in seeds
    ]
    # Not before: an interrupted run leaves race and replicates of one winner.
    write_current(place.folder, [f"{variant} {training.key}" for variant, _, _, training in wanted], race)
    there = {(one.variant, one.seed) for one in read_replicates(place.folder) if _has_arrays(place.folder, one)}
    test = ray.put(place.data.test)
    remote = ray.remote(
        num_cpus=place.room.cpus_per_trial, num_gpus=place.room.gpus_per_trial, label_selector=place.room.selector
    )(_evaluate)
    pending: dict[Any, tuple[str, int, Hyperparameters, Training]] = {}
    for one in wanted:
        variant, seed, hyperparameters, training = one
        if (variant, seed) in there:
            continue
        if training.diverged:
            write_replicate(place.folder, _replicate(place, variant, seed, hyperparameters, training, {}), npz({}))
            continue
        place.observer.stage(f"testing {variant} seed {seed}")
        study, info = place.study, place.data.info
        reference = remote.remote(
            study.model, study.loss, training, info, test, gallery.indices, place.room.gpus_per_trial > 0
        )
        pending[reference] = one
    while pending:
        (ready, *_), _ = ray.wait(list(pending), num_returns=1)
        variant, seed, hyperparameters, training = pending.pop(ready)
        evaluations, arrays = ray.get(ready)
        replicate = _replicate(place, variant, seed, hyperparameters, training, evaluations)
        write_replicate(place.folder, replicate, npz(arrays))


def _has_arrays(folder: ReplicatesFolder, replicate: Replicate) -> bool:
    return read_arrays(folder, replicate.variant, replicate.seed) is not None


def _replicate(
    place: Workplace,
    variant: str,
    seed: int,
    hyperparameters: Hyperparameters,
    training: Training,
    evaluations: dict[str, dict[str, Any]],
) -> Replicate:
    read = {which: Evaluation(split="test", **values) for which, values in evaluations.items()}
    return Replicate(
        study=place.study.name,
        variant=variant,
        seed=seed,
        params=hyperparameters.as_dict(),
        model=place.study.model,
        loss=place.study.loss,
        state=DIVERGED if training.diverged else COMPLETE,
        reason=training.diverged,
        epochs=training.epochs,
        chosen=read.get("chosen"),
        last=read.get("last"),
        seconds=training.seconds,
        key=f"{variant} {training.key}",
    )


def _evaluate(
    model: str, loss: str, training: Training, info: DatasetInfo, test: Split, gallery: Any, gpu: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """In a worker: the evaluations and the arrays of `records.replicates.write_replicate`."""
    from hw2tune.train.batches import on_device
    from hw2tune.train.device import prepare_process
    from hw2tune.train.replicate import read_off

    device = prepare_process(1, gpu=gpu)
    return read_off(
        model=model,
        loss=loss,
        weights={which: training.weights(which) for which in ("chosen", "last")},
        epochs={"chosen": training.chosen_epoch or 0, "last": len(training.epochs)},
        initial_norms=training.weights("initial_norms"),
        test=on_device(test, info, device),
        shown=[int(index) for index in gallery[:FEATURE_IMAGES]],
        device=device,
    )
