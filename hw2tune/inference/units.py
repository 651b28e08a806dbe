"""Evidence whose unit is a search or a split: the mean difference of each over its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hw2tune.inference.evidence import Evidence


def by_unit(evidence: Evidence, unit: str, of: Callable[[int], int], each: int = 1) -> Evidence:
    """Return the evidence with one difference per unit, in the order of units; `of` returns the unit of a seed.

    `seeds` are then the first of each unit. A unit is trained if both sides ended on `each` of its seeds; a side's unit
    has failed if it did so on any of its seeds.
    """
    of_seeds = tuple(map(of, evidence.seeds))
    units = list(dict.fromkeys(of_seeds))
    member = np.array([[one == unit for one in of_seeds] for unit in units], bool).reshape(len(units), len(of_seeds))
    mean = member / member.sum(axis=1, keepdims=True)  # (K, n)
    over_images = None
    if evidence.over_images is not None:
        over_images = mean @ np.nan_to_num(evidence.over_images) @ mean.T
        missing = (member & np.isnan(np.diagonal(evidence.over_images))).any(axis=1)
        over_images[missing | missing[:, None]] = np.nan
    ended = Counter(map(of, evidence.ended))
    first, second = (len(set(map(of, seeds))) for seeds in evidence.failed_seeds)
    return replace(
        evidence,
        seeds=tuple(evidence.seeds[of_seeds.index(number)] for number in units),
        differences=mean @ evidence.differences,
        over_images=over_images,
        failed=(first, second),
        trained=sum(number >= each for number in ended.values()),
        unit=unit,
        units=of_seeds,
        by_seed=evidence,
    )
