"""Validation and test images of a data set: stratified, seeded, the same on every machine, in one split each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.dataset import Dataset, Labels, Split, checksum, fingerprint, fingerprints
from hw2tune.errors import DataError

TEST_SEED = 2_024  # of a folder's test split; fixed, so that no study's seed moves an image into or out of test
SHOWN = 3  # pairs of files named


def validation_indices(
    labels: Labels, size: float, *, classes: Sequence[str], seed: int, equals: Sequence[Sequence[int]] = ()
) -> NDArray[np.int64]:
    """Return `size` ascending indices into the trainval's `labels`, (N,), below 1 that share of them.

    Raises DataError if no split makes sense. Each class has an image in both splits, even a rare class. `equals` are
    groups of places with the same image: a group stays in one split, and a group with several labels in train. If such
    groups do not fit, the number of indices differs from `size`.
    """
    if seed < 0:
        raise DataError(f"split_seed: must be 0 or more, but got {seed}.")
    if size == 0:
        return np.arange(0)
    per_class = np.bincount(labels, minlength=len(classes))
    if len(scarce := np.flatnonzero(per_class < 2)):
        raise DataError(
            "validation_size: each class needs an image in train and one in validation, but class "
            f"{classes[scarce[0]]} has {per_class[scarce[0]]} for both; add images, or remove the class."
        )
    images = _images(size, len(labels), least=len(classes), most=len(labels) - len(classes), each=" of each class")
    drawn = _drawn(labels, bounded_counts(per_class, images, least=1, kept=1), seed, equals)
    missing = np.flatnonzero(np.bincount(labels[drawn], minlength=len(classes)) == 0)
    if len(missing):
        raise DataError(
            f"validation_size: no image of class {classes[missing[0]]} can go into validation: all are copies of one "
            "image, or have two labels. Remove the copies, or the class."
        )
    return drawn


def held_out_indices(
    labels: Labels, share: float, *, classes: Sequence[str], equals: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Return ascending indices of that fraction for the test, each class in proportion, equal images all or none.

    Two images of each class are left for training and validation. Groups of `equals` change the draw only if it would
    divide one. Raises DataError if the fraction is no image, or too many.
    """
    size = round(share * len(labels))
    per_class = np.bincount(labels, minlength=len(classes))
    most = int(np.maximum(per_class - 2, 0).sum())
    if not most:
        raise DataError(
            "test_share: no class has more than the two images that train and validate; add images, or a test folder."
        )
    if size < 1:
        raise DataError(
            f"test_share: must hold out an image or more, so at least {1 / len(labels):.2g} of {len(labels):,} images, "
            f"but got {share}."
        )
    if size > most:
        raise DataError(
            f"test_share: must leave two images of each class to train and validate, so at most "
            f"{100 * most // len(labels) / 100 or most / len(labels)}, but got {share}."
        )
    counts = bounded_counts(per_class, size, least=0, kept=2)
    plain = _drawn(labels, counts, TEST_SEED, ())
    torn = any(0 < np.isin(group, plain).sum() < len(group) for group in equals)
    drawn = _drawn(labels, counts, TEST_SEED, equals) if torn else plain
    if not len(drawn):
        raise DataError(
            f"test_share: {share} of {len(labels):,} images holds out none, as copies of an image stay together; raise "
            "it, or remove the copies."
        )
    return drawn


def stratified_indices(labels: Labels, size: int, *, classes: int, seed: int) -> NDArray[np.int64]:
    """Return `size` ascending indices into `labels`, each class in proportion."""
    return _drawn(labels, proportional_counts(np.bincount(labels, minlength=classes), size), seed, ())


def _drawn(labels: Labels, counts: NDArray[np.int64], seed: int, equals: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return ascending indices into `labels`, `counts` (classes,) of each class, groups of equals undivided.

    The draw sorts the bare 64-bit output of PCG64: NumPy guarantees that stream, but not the methods of Generator
    (NEP 19).
    """
    keys = np.random.PCG64(seed).random_raw(len(labels))  # (N,)
    members = [np.flatnonzero(labels == k) for k in range(len(counts))]
    together = {place: group for group in equals for place in group}
    drawn = [
        _first(of_class[np.argsort(keys[of_class])], int(n), together, labels)
        for of_class, n in zip(members, counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def group_indices(
    labels: Labels, groups: NDArray[np.int64], size: float, *, classes: Sequence[str], seed: int
) -> NDArray[np.int64]:
    """Return about `size` ascending indices into `labels` (N,), groups (N,) all or none, classes nearly in proportion.

    A `size` below 1 is a share. Groups come in an order drawn by the seed; a group is taken if it brings the counts by
    class nearer to their targets. Raises DataError if no group can go into validation.
    """
    images = _images(size, len(labels), least=2, most=len(labels) - 1)
    keys = np.random.PCG64(seed).random_raw(int(groups.max()) + 1)
    wanted = proportional_counts(np.bincount(labels, minlength=len(classes)), images).astype(float)
    taken, counts = [], np.zeros(len(classes))
    for group in np.argsort(keys):
        members = np.flatnonzero(groups == group)
        more = counts + np.bincount(labels[members], minlength=len(classes))
        if len(members) and np.abs(wanted - more).sum() < np.abs(wanted - counts).sum():
            taken.append(members)
            counts = more
    if not taken or counts.sum() >= len(labels):
        raise DataError(
            f"validation_size: {images:,} images do not fit whole groups ({len(np.unique(groups))} in total); "
            "raise it, or split off validation yourself."
        )
    return np.sort(np.concatenate(taken)).astype(np.int64)


def _first(
    order: NDArray[np.int64], count: int, together: Mapping[int, Sequence[int]], labels: Labels
) -> NDArray[np.int64]:
    """Return the first `count` places of one class in this order; copies of an image come all or none.

    If every image has more than `count` copies, the image with the fewest copies comes, if others are left.
    """
    if not together:
        return order[:count]
    taken: list[int] = []
    groups = list(dict.fromkeys(tuple(together.get(place, (place,))) for place in order.tolist()))
    alike = [group for group in groups if len({labels[one] for one in group}) == 1]
    for group in alike:
        if len(taken) + len(group) <= count:
            taken += group
    if count and not taken and len(smallest := min(alike, key=len, default=())) < len(order):
        taken += smallest
    return np.array(taken, np.int64)


def proportional_counts(per_class: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return each class's part of `size` images, (classes,): the method of largest remainders, ties to the first."""
    total = int(per_class.sum())
    counts, remainders = np.divmod(per_class * size, total)
    largest = np.argsort(-remainders, kind="stable")[: size - int(counts.sum())]
    counts[largest] += 1
    return counts.astype(np.int64)


def bounded_counts(per_class: NDArray[np.int64], size: int, *, least: int, kept: int) -> NDArray[np.int64]:
    """Return `proportional_counts` with at least `least` of each class and `kept` left over, as far as `size` allows.

    The difference comes from or goes to the classes farthest from their target.
    """
    high = np.maximum(per_class - kept, 0)
    counts = proportional_counts(per_class, size).clip(least, high)
    share = per_class * size / per_class.sum()
    while missing := size - int(counts.sum()):
        step = 1 if missing > 0 else -1
        free = counts < high if missing > 0 else counts > least
        counts[np.argmax(np.where(free, step * (share - counts), -np.inf))] += step
    return counts


def _images(size: float, of: int, *, least: int, most: int, each: str = "") -> int:
    """Return the number of images that validate: `size`, or below 1 that share. Raises DataError."""
    is_share = 0 < size < 1
    images = round(size * of) if is_share else int(size)
    if size and not least <= images <= most:
        allowed = f"{least:,} to {most:,} images" if is_share else f"0 or {least:,} to {most:,}"
        way_out = f", which is {images:,} of {of:,}; set a number of images, or another share" if is_share else ""
        raise DataError(
            f"validation_size: must be {allowed}, so that train and validation have images{each}, but got "
            f"{size:,}{way_out}."
        )
    return images


def with_fewer(data: Dataset, size: int) -> Dataset:
    """Return the data set with `size` of its training images, drawn by its split seed. Raises DataError.

    Rare classes may be lost, with a note: one image of each would be another draw than that of existing studies.
    """
    there, classes = len(data.train), len(data.info.classes)
    if not classes <= size <= there:
        raise DataError(f"train_size: must be {classes:,} to {there:,}, the images left to train on, but got {size:,}.")
    kept = stratified_indices(data.train.labels, size, classes=classes, seed=data.split_seed)
    train, before = data.train.take(kept), set(data.train.labels)
    lost = [name for k, name in enumerate(data.info.classes) if k in before - set(train.labels)]
    lost_note = (f"no train image of class {', '.join(lost)}; raise train_size",) if lost else ()
    return replace(
        data,
        train=train,
        split_checksum=checksum(np.frombuffer(data.split_checksum.encode(), np.uint8), kept),
        notes=(*data.notes, f"{size:,} of {there:,} training images train (train_size)", *lost_note),
    )


def overlap(one: Split, other: Split) -> int:
    """Return the number of different images found in both splits."""
    return len(fingerprint(one) & fingerprint(other))


def refuse_overlap(data: Dataset) -> None:
    """Raise DataError if two of the three splits share images."""
    digests = {name: fingerprints(getattr(data, name)) for name in ("train", "validation", "test")}
    for one, other in (("train", "test"), ("validation", "test"), ("train", "validation")):
        shared, files = set(digests[one]) & set(digests[other]), ""
        if shared and data.files:
            of = {name: dict(zip(digests[name][::-1], data.files[name][::-1], strict=True)) for name in (one, other)}
            pairs = sorted((of[one][digest], of[other][digest]) for digest in shared)
            more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
            files = f" ({'; '.join(f'{here} = {there}' for here, there in pairs[:SHOWN])}{more})"
        if shared:
            raise DataError(
                f"{data.source}: {len(shared)} images are in both {one} and {other}{files}, so accuracy on {other} "
                "would not measure unseen images. Remove the copies from one of the two."
            )


def overlap_caveat(data: Dataset, reason: str) -> str:
    """Return the sentence on images in two splits, allowed by a study file for `reason`; empty without any."""
    train, validation, test = (fingerprints(split) for split in (data.train, data.validation, data.test))
    chosen, fitted = {*train, *validation}, {*train}
    counts = {
        "test images are training or validation images too": sum(digest in chosen for digest in test),
        "validation images are training images too": sum(digest in fitted for digest in validation),
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return f"{', and '.join(told)} ({reason})" if told else ""


def groups_of_equals(digests: Sequence[bytes]) -> list[list[int]]:
    """Return the places of equal images, each group in ascending order."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    return [group for group in places.values() if len(group) > 1]
