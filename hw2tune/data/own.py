"""A data set of the user's own in three splits: a folder of images, or what a function returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Dataset, OwnData, Progress, Split, checksum, fingerprints
from hw2tune.data.guard import groups_of_equals
from hw2tune.data.own_arrays import read_function
from hw2tune.data.own_folder import read_folder
from hw2tune.data.splits import group_indices, validation_indices
from hw2tune.errors import DataError
from hw2tune.user_code.files import is_code

DEFAULT_SHARE = 0.1  # of the trainval that validates where nothing is said


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """What a study file says about images of the user's own; `code` holds the study's modules."""

    test_share: float | None = None
    resize: Sequence[int] | None = None
    tear_copies: bool = False  # equal pictures may stand in train and test, as in a study that allows it
    code: Mapping[str, str] = field(default_factory=dict)


def is_own(dataset: str) -> bool:
    """Whether a data set is named as a folder's path or as code, and not by a name that hw2tune knows."""
    return is_code(dataset) or "/" in dataset or dataset.startswith((".", "~"))


def load_own(
    name: str,
    options: OwnOptions,
    *,
    validation_size: float | None,
    split_seed: int,
    progress: Progress | None = None,
) -> Dataset:
    """Reads and splits it; pixels are normalised by mean and deviation of the training images. Raises DataError."""
    own = (
        read_function(name, options.code)
        if is_code(name)
        else read_folder(
            Path(name).expanduser(), test_share=options.test_share, resize=options.resize,
            tear_copies=options.tear_copies, progress=progress,
        )
    )  # fmt: skip
    unused = []
    if own.validation is not None and validation_size is not None:
        if own.files:
            raise DataError(f"{own.source}: holds validation images of its own; leave validation_size out.")
        unused = [f"validation_size is not used: {own.source} returns validation images"]  # earlier studies have it
    share = DEFAULT_SHARE if validation_size is None else validation_size
    chosen, train, validation = _split(own, as_number(share, len(own.trainval)), split_seed)
    mean, std = _moments(train)
    given = own.validation
    return Dataset(
        info=DatasetInfo(
            name=own.name,
            title=own.name,
            classes=own.classes,
            image_shape=_shape(train),
            trainval_size=len(train) + len(validation),
            test_size=len(own.test),
            mean=mean,
            std=std,
            default_validation_size=len(validation),
        ),
        label=own.label,
        source=own.source,
        checksum=checksum(*(part for split in (own.trainval, own.test) for part in (split.images, split.labels))),
        split_seed=split_seed,
        split_checksum=checksum(chosen) if given is None else checksum(given.images, given.labels),
        train=train,
        validation=validation,
        test=own.test,
        files=_files(own, chosen),
        notes=(*own.notes, *unused, *_absent_classes(own.classes, train=train, validation=validation, test=own.test)),
        white=own.white,
        scale=own.scale,
    )


def as_number(size: float, images: int) -> int:
    """A number of images, or below 1 a share of them."""
    return round(size * images) if 0 < size < 1 else int(size)


def _split(own: OwnData, size: int, seed: int) -> tuple[NDArray[np.int64], Split, Split]:
    """The places that validate, the training images and the validation images."""
    if own.validation is not None:
        return np.arange(0), own.trainval, own.validation
    labels = own.trainval.labels
    if own.groups is not None:
        chosen = group_indices(labels, own.groups, size, classes=own.classes, seed=seed)
    else:
        equals = groups_of_equals(fingerprints(own.trainval))
        chosen = validation_indices(labels, size, classes=own.classes, seed=seed, equals=equals)
    others = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    return chosen, own.trainval.take(others), own.trainval.take(chosen)


def _shape(split: Split) -> tuple[int, int, int]:
    _, height, width, channels = split.images.shape
    return height, width, channels


def _moments(train: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by channel, on the scale [0, 1], to four digits. Raises DataError for a constant channel."""
    white = 255.0 if train.images.dtype == np.uint8 else 1.0
    axes = (0, 1, 2)
    mean, std = (
        train.images.mean(axis=axes, dtype=np.float64) / white,
        train.images.std(axis=axes, dtype=np.float64) / white,
    )
    if (std < 1e-6).any():
        raise DataError(
            f"all training images are the same in channel {int(np.argmin(std))}: there is nothing to learn from."
        )
    return tuple(round(float(v), 4) for v in mean), tuple(max(round(float(v), 4), 1e-4) for v in std)


def _absent_classes(classes: Sequence[str], **splits: Split) -> list[str]:
    """Notes on the classes of which a split has no image."""
    absent = {
        name: [classes[k] for k, count in enumerate(np.bincount(split.labels, minlength=len(classes))) if not count]
        for name, split in splits.items()
    }
    return [f"no {name} image of class {', '.join(missing)}" for name, missing in absent.items() if missing]


def _files(own: OwnData, chosen: NDArray[np.int64]) -> Mapping[str, tuple[str, ...]]:
    if not own.files or own.validation is not None:
        return own.files
    trainval, places = own.files["train"], set(chosen.tolist())
    return {
        "train": tuple(file for place, file in enumerate(trainval) if place not in places),
        "validation": tuple(trainval[place] for place in chosen),
        "test": own.files["test"],
    }
