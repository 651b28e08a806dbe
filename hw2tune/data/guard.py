"""The split guard: a claim is refused where it was evaluated on images that were trained on."""

from __future__ import annotations

from hw2tune.data.dataset import Dataset, Split, fingerprint
from hw2tune.errors import DataError


def overlap(one: Split, other: Split) -> int:
    """How many different images lie in both splits."""
    return len(fingerprint(one) & fingerprint(other))


def refuse_overlap(data: Dataset) -> None:
    """Raises DataError where two of the three splits share images."""
    for names in (("train", "test"), ("validation", "test"), ("train", "validation")):
        shared = overlap(*(getattr(data, name) for name in names))
        if shared:
            raise DataError(
                f"{data.source}: {shared} images stand in both {names[0]} and {names[1]}; an accuracy on {names[1]} "
                "would be no claim about unseen images. Remove the copies from one of the two."
            )
