"""The user's own images: a folder of them, or arrays that a function returns (`my_data.py:load`)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import BYTES, Pixels, Progress, Split, Unsplit, fingerprints, refuse_too_large
from hw2tune.data.decoding import Wanted
from hw2tune.data.image_folder import class_names, read_parts
from hw2tune.data.splits import groups_of_equals, held_out_indices
from hw2tune.errors import DataError
from hw2tune.user_code.files import code_reference, is_code
from hw2tune.user_code.importer import in_words, load, refuse_untrusted

KEYS = ("train", "test", "classes", "validation", "groups")
MOST_CLASSES = 10_000
# Names of split folders, in small or capital letters.
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
CHUNK = 100  # images that are float64 at a time
SMALL_DEVIATION = 0.02  # below which four decimals are off by more than 0.25 %
OVERSHOOT = 0.1  # fraction of the range by which resampling leaves it


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """Settings of a study file for own images; `code` has the study's modules."""

    test_share: float | None = None
    resize: Sequence[int] | None = None
    tear_copies: bool = False  # equal images may be in train and test, for a study that allows overlap
    code: Mapping[str, str] = field(default_factory=dict)


def read_own(name: str, options: OwnOptions, progress: Progress | None = None) -> Unsplit:
    """Return the arrays of a function, or {train,val,test}/<class>/* of a folder. Raises DataError.

    Of <class>/* a fraction is held out for the test, by class and path; equal images all go to the test or none, unless
    `tear_copies`. Gray images have one channel if all are gray, else three. Palettes are resolved, transparent parts
    laid on white, more than 8 bits scaled by one rule for all, CMYK converted, and rotations in EXIF data applied.
    Images of different sizes need `resize` (height, width). Every unusable file is named. Raises ResourceError before
    any image is decoded if they do not fit into memory.
    """
    if is_code(name):
        return read_function(name, options.code)
    folder, share = Path(name).expanduser(), options.test_share
    try:
        parts = split_folders(folder) or {"train": folder}
        _check_share(folder, parts, share)
        classes = _classes(folder, parts)
        wanted = Wanted(resize=options.resize, refuse_too_large=partial(refuse_too_large, str(folder)))
        own = read_parts(folder, parts, classes, wanted, progress)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error
    if share is None:
        return own
    equals = [] if options.tear_copies else groups_of_equals(fingerprints(own.trainval))
    trainval, test = own.trainval.divide(held_out_indices(own.trainval.labels, share, classes=classes, equals=equals))
    return replace(own, trainval=trainval, test=test)


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the existing folders of `train`, `test` and `validation`; none if the folder has only class folders.

    A folder with such a name but without folders in it is a class. Raises DataError for contradictory names.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images.")
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for name in class_names(folder):
        if name.lower() in SPLITS and class_names(folder / name):
            found[SPLITS[name.lower()]].append(folder / name)
    for split, paths in found.items():
        if len(paths) > 1:
            raise DataError(f"{folder}: {' and '.join(path.name for path in paths)} both mean {split}; merge them.")
    if found and "train" not in found:
        raise DataError(f"{folder}: has {found.popitem()[1][0].name} but no train folder; add or rename a folder.")
    return {split: found[split][0] for split in ("train", "test", "validation") if split in found}


def _check_share(folder: Path, parts: dict[str, Path], test_share: float | None) -> None:
    if "test" in parts and test_share is not None:
        raise DataError(f"{folder}: has its own test folder; leave test_share out.")
    if "test" in parts or test_share is not None:
        return
    if (train := parts["train"]) == folder:
        raise DataError(
            f"{folder}: has no train and test folders; set the fraction for the test with test_share = 0.2."
        )
    renamed = f", rename {parts['validation'].name} to test" if "validation" in parts else ""
    raise DataError(
        f"{folder}: has {train.name} but no test; add test{renamed}, or hold out a fraction with test_share = 0.2."
    )


def _classes(folder: Path, parts: dict[str, Path]) -> list[str]:
    found = {path: class_names(path) for path in parts.values()}
    classes = found[parts["train"]]
    for path, names in found.items():
        if len(names) < 2:
            inner = f" ({names[0]}); if the classes are in there, use {path / names[0]}" if names else ""
            raise DataError(
                f"{path}: must have a folder for each of at least two classes, but has {len(names)}{inner}."
            )
        if names != classes:
            raise DataError(
                f"{folder}: {parts['train'].name} and {path.name} must have the same classes, but "
                f"{sorted(set(classes) ^ set(names))[0]} is in only one of them."
            )
        for name in names:
            if inside := [one for one in class_names(path / name) if one.lower() in SPLITS]:
                raise DataError(
                    f"{path / name}: has {inside[0]}, but splits come before classes: "
                    f"{folder / inside[0] / name}; move or rename it."
                )
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{folder}: has {len(classes):,} classes, but at most {MOST_CLASSES:,} are allowed.")
    return classes


def own_info(own: Unsplit, train: Split, validation: Split) -> DatasetInfo:
    """Return the facts of own images. Raises DataError if a channel of the training images is constant.

    Their mean and standard deviation by channel have four decimals, more if the deviation of floats is below
    SMALL_DEVIATION; uint8 is on the scale [0, 1].
    """
    white = 255.0 if train.images.dtype == np.uint8 else 1.0
    mean, std = (np.asarray(moment / white) for moment in _moments(train.images))
    same = train.images.min(axis=(0, 1, 2)) == train.images.max(axis=(0, 1, 2))
    if same.any():
        raise DataError(
            f"all training images are the same in channel {int(np.argmax(same))}: there is nothing to learn from."
        )
    decimals = [_decimals(float(value)) if white == 1 else 4 for value in std]
    height, width, channels = train.images.shape[1:]
    return DatasetInfo(
        name=own.name,
        title=own.name,
        classes=own.classes,
        image_shape=(height, width, channels),
        trainval_size=len(train) + len(validation),
        test_size=len(own.test),
        mean=tuple(round(float(value), digits) for value, digits in zip(mean, decimals, strict=True)),
        std=tuple(max(round(float(value), digits), 10.0**-digits) for value, digits in zip(std, decimals, strict=True)),
        default_validation_size=len(validation),
    )


def _decimals(deviation: float) -> int:
    """Return the decimals of a channel's moments, four digits of a small deviation. (They are in a training's key.)"""
    return 4 if deviation >= SMALL_DEVIATION else 3 - math.floor(math.log10(deviation))


def _moments(images: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation by channel. (`images.std` makes all images float64, eight times as large.)"""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(images), CHUNK):
        squares += np.square(images[start : start + CHUNK] - mean).sum(axis=(0, 1, 2))
    return mean, np.sqrt(squares / (images.size / len(mean)))


def absent_classes(classes: Sequence[str], **splits: Split) -> list[str]:
    """Return a note for each split that has no image of some classes."""
    absent = {
        name: [classes[k] for k, count in enumerate(np.bincount(split.labels, minlength=len(classes))) if not count]
        for name, split in splits.items()
    }
    return [f"no {name} image of class {', '.join(missing)}" for name, missing in absent.items() if missing]


def read_function(name: str, code: Mapping[str, str]) -> Unsplit:
    """Return the arrays of a function that takes nothing and returns a dict. Raises DataError. The keys:

    `train`, `test` and optionally `validation`: pairs of images, (N, H, W, C), (N, C, H, W) or (N, H, W), and labels,
    (N,) whole numbers from 0. Images are uint8 or floats, usually 0 to 1; another scale is kept and recorded, so that
    `predict` brings image files to it, and with values below 0 `predict` takes no files.
    `classes`: their names. `groups`: (N,) for each training image a number or name, such as a patient, whose images
    stay in one split.
    """
    refuse_untrusted("dataset", name, "a data function")
    try:
        returned = load(name, code)()
    except Exception as error:  # the user's code may raise anything
        raise DataError(f"{name}: {in_words(error, code)}") from error
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        raise DataError(f"{name}: must return a dict with train, test and classes, but returned a {kind}.")
    if unknown := [key for key in returned if key not in KEYS]:
        raise DataError(f"{name}: returned {unknown[0]!r}; known are {', '.join(KEYS)}.")
    if missing := [key for key in KEYS[:3] if key not in returned]:
        raise DataError(f"{name}: returned no {missing[0]!r}; train, test and classes are required.")
    classes = _names(name, returned["classes"])
    if not 2 <= len(classes) <= MOST_CLASSES or len(set(classes)) < len(classes):
        raise DataError(f"{name}: classes must be 2 to {MOST_CLASSES:,} different names, but got {len(classes)}.")
    splits = {
        key: _split(f"{name}: {key}", returned[key], len(classes))
        for key in ("train", "validation", "test")
        if returned.get(key) is not None
    }
    shapes = {key: (split.images.shape[1:], split.images.dtype.name) for key, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{name}: all splits must have images of one shape and type, but got {shapes}.")
    scale, notes = _scale(list(splits.values()))
    groups, of_groups = _groups(name, returned.get("groups"), len(splits["train"]))
    return Unsplit(
        name=code_reference(name).module.rpartition(".")[2],
        label=name,
        source=name,
        classes=classes,
        trainval=splits["train"],
        test=splits["test"],
        validation=splits.get("validation"),
        scale=scale,
        notes=(*notes, *of_groups),
        groups=groups,
    )


def _names(place: str, classes: Any) -> tuple[str, ...]:
    """Return the names of the classes. A set has them in another order each time, a dict perhaps not in the labels'."""
    numbered = isinstance(classes, Mapping) and list(classes.values()) == list(range(len(classes)))
    if not isinstance(classes, Iterable) or (isinstance(classes, Set | Mapping) and not numbered):
        got = f"a {type(classes).__name__}" if isinstance(classes, Iterable) else repr(classes)
        raise DataError(f"{place}: classes must be a list of names in the order of the labels, but got {got}.")
    return tuple(map(str, classes))


def _groups(place: str, groups: Any, images: int) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Return the number of each training image's group, (N,), and a note if some are not a number."""
    if groups is None:
        return None, ()
    try:
        given = np.asarray(groups)
        numbers = np.unique(given, return_inverse=True)[1].astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{place}: groups must be numbers or names ({error}); give an image of an unknown group a name of its own."
        ) from None
    if given.shape != (images,):
        got = len(given) if given.ndim == 1 else f"an array of shape {given.shape}"
        raise DataError(f"{place}: groups must have an entry for each of {images} training images, but got {got}.")
    unknown = int(np.isnan(given).sum()) if given.dtype.kind == "f" else 0
    note = f"{unknown:,} of {images:,} training images have NaN as their group: they are one group"
    return numbers, (note,) if unknown else ()


def _split(place: str, pair: Any, classes: int) -> Split:
    try:
        images, labels = (np.asarray(part) for part in pair)
    except (TypeError, ValueError, RuntimeError) as error:  # the last one of a tensor with a gradient
        raise DataError(f"{place}: must be a pair of images and labels ({error}).") from None
    images = _channels_last(place, images)
    if labels.ndim != 1 or len(labels) != len(images) or not len(labels):
        raise DataError(f"{place}: needs one label for each image, but got {labels.shape} for {len(images)} images.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{place}: labels must be whole numbers, but got {labels.dtype}.")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.max() if labels.max() >= classes else labels.min())
        raise DataError(f"{place}: labels must be between 0 and {classes - 1}, but got {wrong}.")
    return Split(images=np.ascontiguousarray(images), labels=np.ascontiguousarray(labels.astype(np.int64)))


def _scale(splits: Sequence[Split]) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return the values of black and white, and a note if they are unusual or hardly reached.

    Training normalises any scale; image files given to `predict` must become pixels of the same scale.
    """
    kind = splits[0].images.dtype.name
    low, high = (float(function([function(split.images) for split in splits])) for function in (np.min, np.max))
    told, usual = f"{kind} images lie between {low:g} and {high:g}", BYTES[1] if kind == "uint8" else 1.0
    if low < -OVERSHOOT * high:
        return (low, high), (f"{told}: predict takes no image files, which have no values below 0; return 0 to 1",)
    white = next((value for value in (usual, BYTES[1]) if value / 2 < high <= (1 + OVERSHOOT) * value), high)
    white = max(white, usual)
    return (0.0, white), () if white == usual < 2 * high else (f"{told}: predict and export take {white:g} as white",)


def _channels_last(place: str, images: NDArray[Any]) -> NDArray[Any]:
    if 0 in images.shape[1:]:
        raise DataError(f"{place}: images must have pixels and channels, but got {images.shape}.")
    if images.dtype == np.float64:
        images = images.astype(np.float32)
    if images.dtype not in (np.uint8, np.float32):
        raise DataError(f"{place}: images must be uint8 (0 to 255) or float32 (0 to 1), but got {images.dtype}.")
    if images.dtype == np.float32 and not np.isfinite(images).all():
        raise DataError(f"{place}: images must be finite, but got NaN or infinity.")
    if images.ndim == 3:
        return images[..., None]
    if images.ndim != 4:
        raise DataError(f"{place}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W), but got {images.shape}.")
    first, last = images.shape[1] <= 4, images.shape[3] <= 4
    if first == last:
        raise DataError(
            f"{place}: the axis of the channels is ambiguous in {images.shape}; return (N, H, W, C) with 1 to 4 "
            "channels and larger images."
        )
    return images.transpose(0, 2, 3, 1) if first else images
