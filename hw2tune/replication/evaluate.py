"""Replicates: each variant on each seed, at the epoch chosen by validation, tested only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.records.replicates import (
    FEATURE_IMAGES,
    GALLERY_SIZE,
    Evaluation,
    Gallery,
    Race,
    Training,
    npz,
    read_arrays,
    read_replicates,
    write_current,
    write_replicate,
    write_shared,
)
from hw2tune.replication.train import Context, replicate_of
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
    """Return images to look at: gray or three colours; of other numbers of channels the mean."""
    levels = _levels(images, scale)
    if levels.shape[-1] in (1, 3):
        return levels
    return np.asarray(levels.mean(axis=-1, keepdims=True), np.uint8)


def _levels(images: NDArray[Any], scale: tuple[float, float]) -> NDArray[np.uint8]:
    """Return pixels as levels, black 0 and white 255."""
    if images.dtype == np.uint8:
        return images
    black, white = scale
    return np.asarray(np.rint(((images - black) / (white - black)).clip(0, 1) * 255), np.uint8)


def test_replicates(
    context: Context,
    variants: Mapping[str, Hyperparameters],
    trainings: Mapping[tuple[str, int], Training],
    gallery: Gallery,
    race: Race | None,
) -> None:
    """Evaluate each training, by variant and seed, on the test images: at the epoch chosen by validation and the last.

    Replicates that were tested before are not tested again.
    """
    study, folder = context.study, context.folder
    keys = {run: f"{run[0]} {training.key}" for run, training in trainings.items()}
    write_current(folder, keys.values(), race)  # first: an interrupted run leaves race and replicates of one winner
    tested = {
        (one.variant, one.seed)
        for one in read_replicates(folder)
        if read_arrays(folder, one.variant, one.seed) is not None and not one.chosen_blindly(study.objective)
    }

    def write(run: tuple[str, int], evaluations: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        read = {which: Evaluation(split="test", **values) for which, values in evaluations.items()}
        record = replicate_of(study, *run, variants[run[0]], trainings[run], key=keys[run])
        write_replicate(folder, replace(record, chosen=read.get("chosen"), last=read.get("last")), npz(arrays))

    missing = {run: training for run, training in trainings.items() if run not in tested}
    for run in [run for run, training in missing.items() if training.diverged]:
        write(run, {}, {})
        del missing[run]
    if not missing:
        return
    context.connection.cluster()
    from hw2tune.execution.tasks import run_each

    context.tell.stage(f"testing {len(missing)} replicates")
    capacity, data = context.capacity, context.data
    blueprints = {variant: task_of(study, one, study.seed).blueprint(data.info) for variant, one in variants.items()}
    calls = {run: (blueprints[run[0]], training) for run, training in missing.items()}
    shared = (study.loss, data.info, data.test, gallery.indices, capacity.gpus_per_trial > 0)
    for run, (evaluations, arrays) in run_each(_evaluate, calls, shared, capacity):
        write(run, evaluations, arrays)


def _evaluate(
    shared: tuple[str, DatasetInfo, Split, Any, bool], blueprint: Blueprint, training: Training
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """In a worker: return the evaluations and the arrays of `records.replicates.write_replicate`."""
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
