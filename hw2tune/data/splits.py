"""Which images of the trainval validate: stratified, seeded, the same on every machine."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.dataset import Labels
from hw2tune.errors import DataError


def validation_indices(
    labels: Labels, size: int, *, classes: Sequence[str], seed: int, equals: Sequence[Sequence[int]] = ()
) -> NDArray[np.int64]:
    """`size` indices into the trainval's `labels`, (N,), ascending; DataError where no such split makes sense.

    `equals` are groups of places with the same picture: each stays in one split, and one with several labels in train.
    There may be fewer than `size` where such groups do not fit.
    """
    if seed < 0:
        raise DataError(f"split_seed: must be 0 or more, but got {seed}.")
    _check_size(size, trainval=len(labels), classes=len(classes))
    per_class = np.bincount(labels, minlength=len(classes))
    chosen = proportional_counts(per_class, size)
    if size > 0 and not ((chosen > 0) & (chosen < per_class)).all():
        scarce = int(np.flatnonzero((chosen == 0) | (chosen == per_class))[0])
        raise DataError(
            f"validation_size: each class needs an image in train and one in validation, but with {size:,} of "
            f"{len(labels):,} class {classes[scarce]} gets {chosen[scarce]} of its {per_class[scarce]} in validation."
        )
    drawn = stratified_indices(labels, size, classes=len(classes), seed=seed, equals=equals)
    missing = np.flatnonzero((np.bincount(labels[drawn], minlength=len(classes)) == 0) & (chosen > 0))
    if len(missing):
        raise DataError(
            f"validation_size: class {classes[missing[0]]} has no picture that can validate: each stands several "
            "times, more often than it has places, or under two labels. Remove the copies, or raise validation_size."
        )
    return drawn


def stratified_indices(
    labels: Labels, size: int, *, classes: int, seed: int, equals: Sequence[Sequence[int]] = ()
) -> NDArray[np.int64]:
    """`size` ascending indices into `labels`, each class in proportion, groups of `equals` all or none.

    Drawn by sorting the bare 64-bit output of PCG64: NumPy keeps that stream for ever, and promises nothing for the
    methods of Generator (NEP 19).
    """
    keys = np.random.PCG64(seed).random_raw(len(labels))  # (N,)
    counts = proportional_counts(np.bincount(labels, minlength=classes), size)
    members = [np.flatnonzero(labels == k) for k in range(classes)]
    together = {place: group for group in equals for place in group}
    drawn = [
        _first(of_class[np.argsort(keys[of_class])], int(n), together, labels)
        for of_class, n in zip(members, counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def group_indices(
    labels: Labels, groups: NDArray[np.int64], size: int, *, classes: Sequence[str], seed: int
) -> NDArray[np.int64]:
    """About `size` ascending indices into `labels` (N,), groups (N,) all or none, classes as nearly in proportion as
    whole groups allow. Raises DataError where no group can validate.

    Groups come in an order drawn by the seed; each is taken that brings the counts by class nearer to their shares.
    """
    _check_size(size, trainval=len(labels), classes=2)
    keys = np.random.PCG64(seed).random_raw(int(groups.max()) + 1)
    wanted = proportional_counts(np.bincount(labels, minlength=len(classes)), size).astype(float)
    taken, counts = [], np.zeros(len(classes))
    for group in np.argsort(keys):
        members = np.flatnonzero(groups == group)
        more = counts + np.bincount(labels[members], minlength=len(classes))
        if len(members) and np.abs(wanted - more).sum() < np.abs(wanted - counts).sum():
            taken.append(members)
            counts = more
    if not taken or counts.sum() >= len(labels):
        raise DataError(
            f"validation_size: {size:,} images cannot be made of whole groups (there are {len(np.unique(groups))}); "
            "raise it, or split off validation yourself."
        )
    return np.sort(np.concatenate(taken)).astype(np.int64)


def _first(
    order: NDArray[np.int64], count: int, together: Mapping[int, Sequence[int]], labels: Labels
) -> NDArray[np.int64]:
    """The first `count` places of one class in this order; a picture that stands several times comes whole or not."""
    if not together:
        return order[:count]
    taken: list[int] = []
    seen: set[int] = set()
    for place in order.tolist():
        group = together.get(place, (place,))
        if place not in seen and len({labels[one] for one in group}) == 1 and len(taken) + len(group) <= count:
            taken += group
        seen.update(group)
    return np.array(taken, np.int64)


def proportional_counts(per_class: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many of `size` images each class gives, (classes,): the method of largest remainders, ties to the first."""
    total = int(per_class.sum())
    counts, remainders = np.divmod(per_class * size, total)
    largest = np.argsort(-remainders, kind="stable")[: size - int(counts.sum())]
    counts[largest] += 1
    return counts.astype(np.int64)


def _check_size(size: int, *, trainval: int, classes: int) -> None:
    if size < 0:
        raise DataError(f"validation_size: must be 0 or more, but got {size:,}.")
    if size >= trainval:
        raise DataError(
            f"validation_size: must be less than the {trainval:,} images that train and validation share, "
            f"but got {size:,}."
        )
    if 0 < size < classes:
        raise DataError(
            f"validation_size: must be 0 or at least {classes}, one image for each class, but got {size:,}."
        )
