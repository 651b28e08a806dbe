"""The sound part of each record that a report reads back. The rest counts as not there.

Files may be damaged, edited, or of a later version, whose further keys are no fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hw2tune.records.arrays import Array
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.replicates import Gallery, Race
from hw2tune.study.hyperparameters import of_their_kinds

PREDICTIONS = ("labels", "predicted", "last_predicted")
UINT8 = 256  # labels without a record of their classes


def sound_race(race: Race) -> Race | None:
    """The race; None where its numbers do not belong together. One without trainings is of the best trial alone."""
    least = 1 if race.seeds or len(race.candidates) > 1 else 0
    sound = all(
        least <= len(one.values) <= len(race.seeds)
        and all(math.isfinite(value) for value in (one.search_value, *one.values) if value is not None)
        and of_their_kinds(one.params)
        for one in race.candidates
    )
    return race if sound and race.winner in [one.trial for one in race.candidates] else None


def sound_gallery(gallery: Gallery) -> Gallery | None:
    """The gallery; None where images, indices and labels do not fit each other."""
    images, indices, labels = gallery.images, gallery.indices, gallery.labels
    sound = (
        images.ndim == 4
        and images.shape[-1] in (1, 3)
        and images.dtype == np.uint8
        and all(_is_index(one) and one.shape == images.shape[:1] for one in (indices, labels))
    )
    return gallery if sound else None


def sound_counts(counts: Array) -> Array | None:
    """The counts of pixel values; None where they are no numbers."""
    return counts if np.issubdtype(counts.dtype, np.number) and counts.ndim == 2 and np.isfinite(counts).all() else None


def sound_arrays(arrays: Mapping[str, Array], dataset: DatasetRecord | None) -> dict[str, Array]:
    """The arrays of a replicate that figures can be drawn from: predictions all or none of them."""
    classes = len(dataset.classes) if dataset else UINT8
    sound = {name: array for name, array in arrays.items() if _sound_array(name, array, classes)}
    predictions = [name for name in (*PREDICTIONS, "confidence") if name in sound]
    if any("labels" not in sound or sound[name].shape != sound["labels"].shape for name in predictions):
        sound = {name: array for name, array in sound.items() if name not in predictions}
    return sound


def _sound_array(name: str, array: Array, classes: int) -> bool:
    kind = name.partition("/")[0]
    if name in PREDICTIONS:
        return _is_index(array) and array.size > 0 and int(array.max()) < classes
    if kind in ("confidence", "logits", "losses", "resampled", "weights", "initial_norms", "features"):
        of_images = {"confidence": 1, "logits": 2, "losses": 1, "resampled": 1}
        dimensions = (of_images | {"initial_norms": 0, "features": 4}).get(kind, array.ndim)
        return np.issubdtype(array.dtype, np.floating) and array.ndim == dimensions and array.size > 0
    return True  # of a later version


def _is_index(array: Array) -> bool:
    """Return whether an array is a list of whole numbers from 0 on."""
    return array.ndim == 1 and np.issubdtype(array.dtype, np.integer) and (not array.size or int(array.min()) >= 0)
