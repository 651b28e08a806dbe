"""A data set as a folder of images: {train,test}/<class>/*.png|jpg|jpeg, the layout of torchvision's ImageFolder."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hw2tune.data import decode, decoded_cache
from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.damage import damaged
from hw2tune.data.dataset import Progress, Split, Unsplit
from hw2tune.data.jpeg import jpeg_quality
from hw2tune.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")


class ImageFile(NamedTuple):
    """An image on disk, not yet opened."""

    path: str
    label: int
    length: int  # bytes
    mtime_ns: int


def holds(folder: Path) -> bool:
    """Whether there is a train or a test folder, so that the folder means to be a data set."""
    return any((folder / part).is_dir() for part in ("train", "test"))


def check_quickly(info: DatasetInfo, folder: Path) -> None:
    """Raise DataError unless there is a folder for each class and none besides; opens no image."""
    for part in ("train", "test"):
        _check_class_folders(info, folder / part)


def read(info: DatasetInfo, folder: Path, progress: Progress | None = None) -> Unsplit:
    """The images in order of class and name, decoded once and then taken from the user's cache."""
    trainval, test = list_images(info, folder / "train"), list_images(info, folder / "test")
    shape, key = info.image_shape, f"{info.name}-{_fingerprint(trainval + test)}"
    cached = decoded_cache.load(key)
    if cached is None:
        images = decode.decode_images([file.path for file in trainval + test], shape, progress)
        decoded_cache.store(key, images, {})
    else:
        images, _ = cached
    labels = np.array([file.label for file in trainval + test], np.int64)
    return Unsplit(
        label=_label(info, trainval, test),
        source=str(folder),
        trainval=Split(images=images[: len(trainval)], labels=labels[: len(trainval)]),
        test=Split(images=images[len(trainval) :], labels=labels[len(trainval) :]),
        files=tuple(os.path.relpath(file.path, folder) for file in trainval + test),
    )


def list_images(info: DatasetInfo, folder: Path) -> list[ImageFile]:
    """The images under the class folders of `folder`; other files are left alone, a class without images is not."""
    _check_class_folders(info, folder)
    return [file for label, name in enumerate(info.classes) for file in _list_class(folder / name, label)]


def _list_class(folder: Path, label: int) -> list[ImageFile]:
    with os.scandir(folder) as entries:
        images = sorted(
            (entry for entry in entries if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
    if not images:
        raise damaged(folder, expected="at least one image (.png, .jpg or .jpeg) of its class", found="none")
    stats = [(entry.path, entry.stat()) for entry in images]
    return [ImageFile(path, label, stat.st_size, stat.st_mtime_ns) for path, stat in stats]


def _check_class_folders(info: DatasetInfo, folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder is missing; an image folder of {info.title} needs train and test.")
    found = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    expected = f"the class folders {', '.join(info.classes)}"
    if unexpected := sorted(found - set(info.classes)):
        raise damaged(folder, expected=f"only {expected}", found=f"also {', '.join(unexpected)}")
    if missing := [name for name in info.classes if name not in found]:
        raise damaged(folder, expected=expected, found=f"no {', '.join(missing)}")


def _fingerprint(files: list[ImageFile]) -> str:
    """Changes when an image is added, removed, renamed, moved, resized or touched."""
    lines = "\n".join(f"{file.path}\0{file.label}\0{file.length}\0{file.mtime_ns}" for file in files)
    return hashlib.sha256(os.fsencode(lines)).hexdigest()[:32]


def _label(info: DatasetInfo, trainval: list[ImageFile], test: list[ImageFile]) -> str:
    """Says what makes these pixels other than the published ones: JPEG's losses, images omitted."""
    jpegs = [file.path for file in trainval + test if not file.path.lower().endswith(".png")]
    kinds = [jpeg_quality(Path(jpegs[0])) if jpegs else "image folder"]
    if (len(trainval), len(test)) != (info.trainval_size, info.test_size):
        kinds.append(f"{len(trainval):,} + {len(test):,} of {info.trainval_size:,} + {info.test_size:,} images")
    return f"{info.title} ({', '.join(kinds)})"
