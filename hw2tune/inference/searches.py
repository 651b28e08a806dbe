"""Evidence with searches as its unit: the mean difference of each search's winners over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hw2tune.inference.evidence import Evidence


def by_search(evidence: Evidence, searches: Sequence[int]) -> Evidence:
    """Return the evidence with one difference per search, in the order of searches; `searches` are those of its seeds.

    `seeds` are then the first of each search. A search counts as failed for each of its seeds that failed.
    """
    units = list(dict.fromkeys(searches))
    mean = np.array([[one == unit for one in searches] for unit in units], float).reshape(len(units), len(searches))
    mean /= mean.sum(axis=1, keepdims=True)  # (K, n)
    first, second = (min(number, len(units)) for number in evidence.failed)
    return replace(
        evidence,
        seeds=tuple(evidence.seeds[list(searches).index(unit)] for unit in units),
        differences=mean @ evidence.differences,
        over_images=None if evidence.over_images is None else mean @ evidence.over_images @ mean.T,
        failed=(first, second),
        trained=len(units),
        unit="search",
    )
