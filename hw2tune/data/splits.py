"""Which images of the pool validate: stratified, seeded, the same on every machine."""

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.dataset import Labels
from hw2tune.errors import DataError


def validation_indices(labels: Labels, size: int, *, classes: int, seed: int) -> NDArray[np.int64]:
    """`size` indices into the pool's `labels`, (N,), ascending; DataError where no such split makes sense."""
    if seed < 0:
        raise DataError(f"split_seed: must be 0 or more, but got {seed}.")
    _check_size(size, pool=len(labels), classes=classes)
    per_class = np.bincount(labels, minlength=classes)
    chosen = proportional_counts(per_class, size)
    if size > 0 and not ((chosen > 0) & (chosen < per_class)).all():
        scarce = int(np.flatnonzero((chosen == 0) | (chosen == per_class))[0])
        raise DataError(
            f"validation_size: each class needs an image in train and one in validation, but with {size:,} of "
            f"{len(labels):,} class {scarce} gets {chosen[scarce]} of its {per_class[scarce]} in validation."
        )
    return stratified_indices(labels, size, classes=classes, seed=seed)


def stratified_indices(labels: Labels, size: int, *, classes: int, seed: int) -> NDArray[np.int64]:
    """`size` ascending indices into `labels`, each class in proportion.

    Drawn by sorting the bare 64-bit output of PCG64: NumPy keeps that stream for ever, and promises nothing for the
    methods of Generator (NEP 19).
    """
    keys = np.random.PCG64(seed).random_raw(len(labels))  # (N,)
    counts = proportional_counts(np.bincount(labels, minlength=classes), size)
    members = [np.flatnonzero(labels == k) for k in range(classes)]
    drawn = [of_class[np.argsort(keys[of_class])[:n]] for of_class, n in zip(members, counts, strict=True)]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def proportional_counts(per_class: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many of `size` images each class gives, (classes,): the method of largest remainders, ties to the first."""
    total = int(per_class.sum())
    counts, remainders = np.divmod(per_class * size, total)
    largest = np.argsort(-remainders, kind="stable")[: size - int(counts.sum())]
    counts[largest] += 1
    return counts.astype(np.int64)


def _check_size(size: int, *, pool: int, classes: int) -> None:
    if size < 0:
        raise DataError(f"validation_size: must be 0 or more, but got {size:,}.")
    if size >= pool:
        raise DataError(
            f"validation_size: must be less than the {pool:,} images that train and validation share, but got {size:,}."
        )
    if 0 < size < classes:
        raise DataError(
            f"validation_size: must be 0 or at least {classes}, one image for each class, but got {size:,}."
        )
