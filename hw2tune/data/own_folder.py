"""A folder of the user's own images: {train,test}/<class>/*, or <class>/* with a share of them for the test."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hw2tune.data import decoded_cache
from hw2tune.data.damage import damaged
from hw2tune.data.dataset import OwnData, Pixels, Progress, Split
from hw2tune.data.decode import CHUNK
from hw2tune.data.image_file import Header, read_header, read_pixels
from hw2tune.data.splits import stratified_indices
from hw2tune.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
MOST_CLASSES = 10_000
TEST_SEED = 2_024  # of the test split: its own, so that no study's seed moves an image into or out of test


def read_folder(
    folder: Path,
    *,
    test_share: float | None,
    resize: Sequence[int] | None,
    progress: Progress | None = None,
) -> OwnData:
    """The images in order of class and name. Raises DataError, naming a file that cannot be used.

    What is gray throughout has one channel, all else three: palettes are resolved, transparent parts laid on white,
    16 bits scaled to 8, CMYK converted, and the rotation that a camera noted is carried out. Images of different sizes
    are refused unless `resize` (height, width) says what they become.
    """
    classes, files = _listed(folder, test_share)
    every = [file for part in files for file in part]
    images, notes = _decoded([path for path, _ in every], resize, progress)
    labels = np.array([label for _, label in every], np.int64)
    in_test = (
        np.arange(len(files[0]), len(every))
        if len(files) == 2
        else stratified_indices(labels, round((test_share or 0) * len(labels)), classes=len(classes), seed=TEST_SEED)
    )
    others = np.setdiff1d(np.arange(len(every)), in_test)
    whole = Split(images=images, labels=labels)
    names = [os.path.relpath(path, folder) for path, _ in every]
    return OwnData(
        name=folder.name,
        label=f"{folder.name} ({len(every):,} images)",
        source=str(folder),
        classes=tuple(classes),
        trainval=whole.take(others),
        test=whole.take(in_test),
        files=tuple(names[place] for place in [*others, *in_test]),
        notes=notes,
    )


def _listed(folder: Path, test_share: float | None) -> tuple[list[str], list[list[tuple[str, int]]]]:
    """The classes, and the images of train and test, or all of them where a share is for the test."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of images.")
    parts = {name: folder / name for name in ("train", "test") if (folder / name).is_dir()}
    if "train" in parts:
        if "test" not in parts:
            raise DataError(
                f"{folder}: holds train and no test; add test, or put the classes side by side with test_share."
            )
        if test_share is not None:
            raise DataError(f"{folder}: holds a test folder of its own; leave test_share out.")
        classes = class_names(parts["train"])
        if (others := class_names(parts["test"])) != classes:
            differing = sorted(set(classes) ^ set(others))[0]
            raise DataError(
                f"{folder}: train and test must hold the same classes, but {differing} is in one of them alone."
            )
        files = [list_images(parts[name], classes) for name in ("train", "test")]
        return classes, files
    classes = class_names(folder)
    if test_share is None:
        raise DataError(f"{folder}: has no train and test folders; say with test_share = 0.2 how much is for the test.")
    return classes, [list_images(folder, classes)]


def class_names(folder: Path) -> list[str]:
    """The folders of classes, by name."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        raise DataError(f"{folder}: must hold a folder for each of at least two classes, but holds {len(names)}.")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{folder}: holds {len(names):,} classes, and {MOST_CLASSES:,} are the most.")
    return names


def list_images(folder: Path, classes: Sequence[str]) -> list[tuple[str, int]]:
    """Path and label of each image below the class folders."""
    found: list[tuple[str, int]] = []
    for label, name in enumerate(classes):
        with os.scandir(folder / name) as entries:
            paths = sorted(e.path for e in entries if e.name.lower().endswith(SUFFIXES) and not e.name.startswith("."))
        if not paths:
            raise damaged(
                folder / name, expected=f"at least one image ({', '.join(SUFFIXES)}) of its class", found="none"
            )
        found += [(path, label) for path in paths]
    return found


def _decoded(
    paths: Sequence[str], resize: Sequence[int] | None, progress: Progress | None
) -> tuple[Pixels, tuple[str, ...]]:
    headers = [read_header(Path(path)) for path in paths]
    size = _common_size(paths, headers, resize)
    channels = 1 if all(header.gray for header in headers) else 3
    key = f"own-{_fingerprint(paths)}-{size[0]}x{size[1]}x{channels}"
    cached = decoded_cache.load(key)
    if cached is not None:
        images, _ = cached
    else:
        images = np.empty((len(paths), *size, channels), np.uint8)
        for n, path in enumerate(paths):
            images[n] = read_pixels(Path(path), size, channels)
            if progress and ((n + 1) % CHUNK == 0 or n + 1 == len(paths)):
                progress("decoding images", n + 1, len(paths))
        decoded_cache.store(key, images, {})
    counts = Counter(what for header in headers for what in header.what)
    notes = [f"{count:,} {'image' if count == 1 else 'images'} {what}" for what, count in sorted(counts.items())]
    if resize:
        resized = sum(header.size != size for header in headers)
        notes += [f"{resized:,} images resized to {size[0]} x {size[1]} pixels"] if resized else []
    return images, tuple(notes)


def _common_size(paths: Sequence[str], headers: Sequence[Header], resize: Sequence[int] | None) -> tuple[int, int]:
    if resize is not None:
        return resize[0], resize[1]
    first = headers[0].size
    other = next((n for n, header in enumerate(headers) if header.size != first), None)
    if other is not None:
        one, two = (f"{height} x {width}" for height, width in (first, headers[other].size))
        raise DataError(
            f"{paths[other]}: is {two} pixels (height x width), and {paths[0]} is {one}; images of one study must have "
            f"one size: write resize = [{first[0]}, {first[1]}] into the study file."
        )
    return first


def _fingerprint(paths: Sequence[str]) -> str:
    """Changes when an image is added, removed, renamed, moved, resized or touched."""
    digest = hashlib.sha256()
    for path in paths:
        stat = Path(path).stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
