"""A data set in memory: three named splits of images, their source, and the room that they need."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import psutil
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.errors import ResourceError

Pixels: TypeAlias = NDArray[np.uint8]  # (N, H, W, C); own images may be float32
Labels: TypeAlias = NDArray[np.int64]  # (N,)
Progress: TypeAlias = Callable[[str, int, int], None]  # activity, done, total

BYTES = (0.0, 255.0)  # black and white of uint8
OBJECT_STORE_SHARE = 0.3  # of the memory: what Ray 2.60 takes for its object store
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Images, (N, H, W, C), uint8 or float32, C-contiguous, and their labels, (N,) int64."""

    images: Pixels
    labels: Labels
    files: tuple[str, ...] = ()  # (N,) paths below the folder; empty unless each image has its own file

    def __post_init__(self) -> None:
        assert self.images.dtype in (np.uint8, np.float32) and self.images.ndim == 4 and self.images.flags.c_contiguous
        assert self.labels.dtype == np.int64 and self.labels.shape == self.images.shape[:1]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """Return a copy of the images at `indices`, (K,), in that order."""
        files = tuple(self.files[index] for index in indices) if self.files else ()
        return Split(images=self.images[indices], labels=self.labels[indices], files=files)

    def divide(self, chosen: NDArray[np.int64]) -> tuple["Split", "Split"]:
        """Return the images that are not `chosen` (ascending indices), and those that are."""
        return self.take(np.setdiff1d(np.arange(len(self)), chosen, assume_unique=True)), self.take(chosen)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    label: str  # the name of results on these very pixels, e.g. "CIFAR-10 (JPEG q75)"
    source: str  # folder, package or function, for humans
    test: Split
    notes: tuple[str, ...] = ()  # changes to the images that a user should know
    white: Mapping[str, float] = field(default_factory=dict)  # value in files above 8 bits that became 255
    scale: tuple[float, float] = BYTES  # values of a black and a white pixel; image files have none if black is below 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Unsplit(_Images):
    """A data set as it is published, or as the user has it: the trainval, for training and validation, and the test."""

    trainval: Split
    # Of the user's own images:
    name: str = ""
    classes: tuple[str, ...] = ()
    validation: Split | None = None  # if the user has split it off; the trainval is without it
    groups: NDArray[np.int64] | None = None  # (N,) of the trainval; a group stays in one split


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(_Images):
    """Three splits with three names: train fits, validation chooses, test is read only for a chosen configuration.

    Images keep the order of their source, which may be sorted by class: shuffle before taking the first few.
    """

    info: DatasetInfo
    checksum: str  # "sha256:<hex>" over pixels and labels of trainval and test, for any split
    split_seed: int
    split_checksum: str  # "sha256:<hex>" over the validation's indices into trainval, or over a given validation split
    train: Split
    validation: Split
    caveat: str = ""  # for every figure: images of two splits that the study file allows

    @property
    def files(self) -> dict[str, tuple[str, ...]]:
        """The image files by split; empty unless each image has its own."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split.files for name, split in splits.items()} if self.train.files else {}


def checksum(*arrays: NDArray[np.generic]) -> str:
    """Return `sha256:<hex>` over shapes and contents of C-contiguous arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def fingerprint(split: Split) -> frozenset[bytes]:
    """Return the digests of a split's images; common digests of two splits are common images."""
    return frozenset(fingerprints(split))


def fingerprints(split: Split) -> list[bytes]:
    """Return a digest of each image's pixels, in order and without the label: equal images have equal digests."""
    return [hashlib.sha256(image.data).digest()[:16] for image in split.images]


def refuse_too_large(place: str, size: int) -> None:
    """Raise ResourceError if images of `size` bytes do not fit into Ray's shared memory, where all trials read them."""
    there = int(OBJECT_STORE_SHARE * psutil.virtual_memory().total)
    if SHARED_MEMORY.is_dir():
        there = min(there, shutil.disk_usage(SHARED_MEMORY).free)
    if size > there:
        raise ResourceError(
            f"{place}: the images take {size / 1e6:,.0f} MB of shared memory, and {there / 1e6:,.0f} MB are "
            f"there ({SHARED_MEMORY} and {OBJECT_STORE_SHARE:.0%} of the memory); make them smaller (resize in "
            "the study file), or give more (a container's --shm-size)"
        )
