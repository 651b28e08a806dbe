"""Replicates: each variant on each seed, at the epoch that validation chose, tested here and only here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.records.replicates.files import (
    npz,
    read_arrays,
    read_replicates,
    write_current,
    write_replicate,
    write_shared,
)
from hw2tune.records.replicates.records import (
    FEATURE_IMAGES,
    GALLERY_SIZE,
    Evaluation,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
)
from hw2tune.records.replicates.trainings import Training
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.replication.train import Context, trained
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.task import Blueprint, task_of


def write_shared_records(context: Context) -> Gallery:
    """Write what all replicates share, the gallery and pixel counts, and return the gallery."""
    data = context.data
    indices = np.random.default_rng(0).permutation(len(data.test))[:GALLERY_SIZE]
    shown = _shown(data.test.images[indices], data.scale)
    gallery = Gallery(indices=indices, images=shown, labels=data.test.labels[indices])
    images = _levels(data.train.images, data.scale)
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    write_shared(context.folder, gallery, np.stack(counts))
    return gallery


def _shown(images: NDArray[Any], scale: tuple[float, float]) -> NDArray[np.uint8]:
    """Images as they can be looked at: gray or three colours; of other numbers of channels the mean."""
    levels = _levels(images, scale)
    if levels.shape[-1] in (1, 3):
        return levels
    return np.asarray(levels.mean(axis=-1, keepdims=True), np.uint8)


def _levels(images: NDArray[Any], scale: tuple[float, float]) -> NDArray[np.uint8]:
    """Pixels as levels, black 0 and white 255."""
    if images.dtype == np.uint8:
        return images
    black, white = scale
    return np.asarray(np.rint(((images - black) / (white - black)).clip(0, 1) * 255), np.uint8)


def test_replicates(
    context: Context, variants: dict[str, Hyperparameters], seeds: Sequence[int], gallery: Gallery, race: Race | None
) -> None:
    """Reads the test images: each variant at the epoch that validation chose, and at the last."""
    wanted = {
        (variant, seed): trained(context, hyperparameters, seed)
        for variant, hyperparameters in variants.items()
        for seed in seeds
    }
    # Not before: an interrupted run leaves race and replicates of one winner.
    write_current(context.folder, [f"{variant} {one.key}" for (variant, _), one in wanted.items()], race)
    there = {
        (one.variant, one.seed)
        for one in read_replicates(context.folder)
        if _has_arrays(context.folder, one) and not one.chosen_blindly(context.study.objective)
    }
    missing = {key: training for key, training in wanted.items() if key not in there}
    for (variant, seed), training in missing.items():
        if training.diverged:
            replicate = _replicate(context, variant, seed, variants[variant], training, {})
            write_replicate(context.folder, replicate, npz({}))
    calls: dict[tuple[str, int], tuple[Any, ...]] = {
        key: (training,) for key, training in missing.items() if not training.diverged
    }
    if not calls:
        return
    context.connection.cluster()
    from hw2tune.execution.tasks import run_each

    context.tell.stage(f"testing {len(calls)} replicates")
    study, capacity, data = context.study, context.capacity, context.data
    blueprints = {variant: task_of(study, one, study.seed).blueprint(data.info) for variant, one in variants.items()}
    calls = {(variant, seed): (blueprints[variant], *call) for (variant, seed), call in calls.items()}
    shared = (study.loss, data.info, data.test, gallery.indices, capacity.gpus_per_trial > 0)
    for (variant, seed), (evaluations, arrays) in run_each(_evaluate, calls, shared, capacity):
        replicate = _replicate(context, variant, seed, variants[variant], wanted[variant, seed], evaluations)
        write_replicate(context.folder, replicate, npz(arrays))


def _has_arrays(folder: ReplicatesFolder, replicate: Replicate) -> bool:
    return read_arrays(folder, replicate.variant, replicate.seed) is not None


def _replicate(
    context: Context,
    variant: str,
    seed: int,
    hyperparameters: Hyperparameters,
    training: Training,
    evaluations: dict[str, dict[str, Any]],
) -> Replicate:
    read = {which: Evaluation(split="test", **values) for which, values in evaluations.items()}
    return Replicate(
        study=context.study.name,
        variant=variant,
        seed=seed,
        params=hyperparameters.as_dict(),
        model=context.study.model,
        loss=context.study.loss,
        state=DIVERGED if training.diverged else COMPLETE,
        reason=training.diverged,
        epochs=training.epochs,
        chosen=read.get("chosen"),
        last=read.get("last"),
        seconds=training.seconds,
        key=f"{variant} {training.key}",
    )


def _evaluate(
    shared: tuple[str, DatasetInfo, Split, Any, bool], blueprint: Blueprint, training: Training
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """In a worker: the evaluations and the arrays of `records.replicates.write_replicate`."""
    from hw2tune.execution.tasks import told
    from hw2tune.train.batches import on_device
    from hw2tune.train.device import prepare_process
    from hw2tune.train.evaluate import evaluate_network

    loss, info, test, gallery, gpu = shared
    with told(blueprint.code):
        device = prepare_process(1, gpu=gpu)
        return evaluate_network(
            blueprint=blueprint,
            loss=loss,
            weights={which: training.weights(which) for which in ("chosen", "last")},
            epochs={"chosen": training.chosen_epoch or 0, "last": len(training.epochs)},
            initial_norms=training.weights("initial_norms"),
            test=on_device(test, info, device),
            shown=[int(index) for index in gallery[:FEATURE_IMAGES]],
            device=device,
        )
