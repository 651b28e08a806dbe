"""The split guard: images found in two splits, or several times in one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hw2tune.data.dataset import Dataset, Split, fingerprint, fingerprints
from hw2tune.errors import DataError

SHOWN = 3  # pairs of files named


def overlap(one: Split, other: Split) -> int:
    """Return the number of different images found in both splits."""
    return len(fingerprint(one) & fingerprint(other))


def refuse_overlap(data: Dataset) -> None:
    """Raise DataError if two of the three splits share images."""
    digests = {name: fingerprints(getattr(data, name)) for name in ("train", "validation", "test")}
    for one, other in (("train", "test"), ("validation", "test"), ("train", "validation")):
        shared = set(digests[one]) & set(digests[other])
        if shared:
            files = _pairs(data, one, other, digests, shared)
            raise DataError(
                f"{data.source}: {len(shared)} images are in both {one} and {other}{files}, so accuracy on {other} "
                "would not measure unseen images. Remove the copies from one of the two."
            )


def overlap_caveat(data: Dataset, reason: str) -> str:
    """Return the sentence on images in two splits, allowed by a study file for `reason`; empty without any."""
    train, validation, test = (fingerprints(split) for split in (data.train, data.validation, data.test))
    counts = {
        "test images are training or validation images too": _count_in({*train, *validation}, test),
        "validation images are training images too": _count_in({*train}, validation),
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return f"{', and '.join(told)} ({reason})" if told else ""


def _count_in(others: set[bytes], digests: Sequence[bytes]) -> int:
    return sum(digest in others for digest in digests)


def _pairs(data: Dataset, one: str, other: str, digests: dict[str, list[bytes]], shared: set[bytes]) -> str:
    if not data.files:
        return ""
    first = {name: dict(zip(reversed(digests[name]), reversed(data.files[name]), strict=True)) for name in (one, other)}
    pairs = sorted((first[one][digest], first[other][digest]) for digest in shared)
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return f" ({'; '.join(f'{here} = {there}' for here, there in pairs[:SHOWN])}{more})"


def groups_of_equals(digests: Sequence[bytes]) -> list[list[int]]:
    """Return the places of equal images, each group in ascending order."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    return [group for group in places.values() if len(group) > 1]
