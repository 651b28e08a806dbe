"""A data set in memory: three named splits of images, and where they came from."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo

Pixels: TypeAlias = NDArray[np.uint8]  # (N, H, W, C); the user's own may be float32
Labels: TypeAlias = NDArray[np.int64]  # (N,)
Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, how many are done, of how many

BYTES = (0.0, 255.0)  # black and white of uint8


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Images, (N, H, W, C), uint8 or float32, C-contiguous, and their labels, (N,) int64."""

    images: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        assert self.images.dtype in (np.uint8, np.float32) and self.images.ndim == 4 and self.images.flags.c_contiguous
        assert self.labels.dtype == np.int64 and self.labels.shape == self.images.shape[:1]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """The images at `indices`, (K,), in that order, as a copy."""
        return Split(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, kw_only=True, eq=False)
class Unsplit:
    """A data set as it is published: the trainval that training and validation share, and the test images."""

    label: str  # what a result on these very pixels must be called
    source: str
    trainval: Split
    test: Split
    files: tuple[str, ...] = ()  # of the trainval's images and then of the test's, where each has a file of its own
    notes: tuple[str, ...] = ()  # what a user should know of the images


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnData:
    """A data set of the user's own, before it is split. `groups` (N,) of the trainval must not be split."""

    name: str
    label: str
    source: str
    classes: tuple[str, ...]
    trainval: Split
    test: Split
    validation: Split | None = None  # where the user has split it off
    groups: NDArray[np.int64] | None = None
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of train (the trainval), validation, test
    notes: tuple[str, ...] = ()  # what was done to the images
    white: Mapping[str, float] = field(default_factory=dict)  # as in Dataset
    scale: tuple[float, float] = BYTES  # as in Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Three splits with three names: train fits, validation chooses, test is read only for a chosen configuration.

    Images keep the order of their source, which may be sorted by class: shuffle before taking the first few.
    """

    info: DatasetInfo
    label: str  # for reports, e.g. "CIFAR-10 (JPEG q75)"
    source: str  # folder or package, for humans
    checksum: str  # "sha256:<hex>" over pixels and labels of trainval and test, whatever the split
    split_seed: int
    split_checksum: str  # "sha256:<hex>" over the validation's indices into trainval, or over a validation split given
    train: Split
    validation: Split
    test: Split
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by split, where each image has its own
    notes: tuple[str, ...] = ()  # what was done to the images that a user should know
    white: Mapping[str, float] = field(default_factory=dict)  # value that became 255, of files above 8 bits
    scale: tuple[float, float] = BYTES  # a black and a white pixel; no image file has those of a black below 0
    caveat: str = ""  # what stands beside every figure: images of two splits that the study file allows


def checksum(*arrays: NDArray[np.generic]) -> str:
    """A string `sha256:<hex>` over shapes and contents of C-contiguous arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def fingerprint(split: Split) -> frozenset[bytes]:
    """The digests of a split: two splits share an image where their fingerprints meet."""
    return frozenset(fingerprints(split))


def fingerprints(split: Split) -> list[bytes]:
    """A digest of each image's pixels, in order, labels omitted: equal pictures have equal digests."""
    return [hashlib.sha256(image.data).digest()[:16] for image in split.images]
