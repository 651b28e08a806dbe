"""Evidence with searches as its unit: the mean difference of each search's winners over their seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hw2tune.inference.evidence import Evidence


def by_search(evidence: Evidence, search_of: Callable[[int], int], each: int = 1) -> Evidence:
    """Return the evidence with one difference per search, in the order of searches, from the search of each seed.

    `seeds` are then the first of each search. A side's search has failed if it did so on any of its seeds, and is
    trained once `each` of them ended.
    """
    searches = list(map(search_of, evidence.seeds))
    units = list(dict.fromkeys(searches))
    member = np.array([[one == unit for one in searches] for unit in units], bool).reshape(len(units), len(searches))
    mean = member / member.sum(axis=1, keepdims=True)  # (K, n)
    over_images = None
    if evidence.over_images is not None:
        over_images = mean @ np.nan_to_num(evidence.over_images) @ mean.T
        missing = (member & np.isnan(np.diagonal(evidence.over_images))).any(axis=1)
        over_images[missing | missing[:, None]] = np.nan
    first, second = (len(set(map(search_of, seeds))) for seeds in evidence.failed_seeds)
    return replace(
        evidence,
        seeds=tuple(evidence.seeds[searches.index(unit)] for unit in units),
        differences=mean @ evidence.differences,
        over_images=over_images,
        failed=(first, second),
        trained=sum(number >= each for number in Counter(map(search_of, evidence.ended)).values()),
        unit="search",
    )
