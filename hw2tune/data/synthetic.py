"""Synthetic images for tests: a blurry pattern per class, with noise."""

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split, Unsplit

SOURCE = "made by hw2tune, synthetic"
BLOCK = 4  # side of the squares that a pattern is made of, in pixels
CONTRAST, NOISE = 40.0, 50.0  # grey levels; a single pixel says little about the class


def make(info: DatasetInfo) -> Unsplit:
    """Return `info.trainval_size` and `info.test_size` images, the same at every call, classes in equal numbers."""
    random = np.random.default_rng(20_240_229)
    height, width, channels = info.image_shape
    blocks = random.standard_normal((len(info.classes), height // BLOCK, width // BLOCK, channels))
    patterns = blocks.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)  # (classes, H, W, C)
    trainval, test = (_draw(patterns, count, random) for count in (info.trainval_size, info.test_size))
    return Unsplit(label="synthetic", source=SOURCE, trainval=trainval, test=test)


def _draw(patterns: NDArray[np.float64], count: int, random: np.random.Generator) -> Split:
    labels = random.permutation(np.arange(count, dtype=np.int64) % len(patterns))
    noise = random.standard_normal((count, *patterns.shape[1:]))
    grey = 127.5 + CONTRAST * patterns[labels] + NOISE * noise  # (count, H, W, C)
    return Split(images=grey.clip(0, 255).astype(np.uint8), labels=labels)
