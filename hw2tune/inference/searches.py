"""Evidence with searches as its unit: the mean difference of each search's winners over their seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hw2tune.inference.evidence import Evidence


def by_search(evidence: Evidence, search_of: Callable[[int], int]) -> Evidence:
    """Return the evidence with one difference per search, in the order of searches, from the search of each seed.

    `seeds` are then the first of each search. A side's search has failed if it did so on any of its seeds.
    """
    searches = list(map(search_of, evidence.seeds))
    units = list(dict.fromkeys(searches))
    mean = np.array([[one == unit for one in searches] for unit in units], float).reshape(len(units), len(searches))
    mean /= mean.sum(axis=1, keepdims=True)  # (K, n)
    first, second = (len(set(map(search_of, seeds))) for seeds in evidence.failed_seeds)
    return replace(
        evidence,
        seeds=tuple(evidence.seeds[searches.index(unit)] for unit in units),
        differences=mean @ evidence.differences,
        over_images=None if evidence.over_images is None else mean @ evidence.over_images @ mean.T,
        failed=(first, second),
        trained=len(set(map(search_of, evidence.ended))),
        unit="search",
    )
