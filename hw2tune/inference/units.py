"""Evidence and summaries whose unit is a search or a split: the mean of each over its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.statistics import Summary, summarize
from hw2tune.records.environment import UNITS
from hw2tune.text.numbers import counted


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


def over_units(values: Mapping[int, float], of: Callable[[int], int]) -> Summary | None:
    """Return the summary of the units' means of values by seed, `of` being the unit of a seed; None without values."""
    units: dict[int, list[float]] = {}
    for seed, value in values.items():
        units.setdefault(of(seed), []).append(value)
    return summarize([float(np.mean(each)) for each in units.values()]) if units else None


def units_words(unit: str, of_seeds: Sequence[int]) -> str:
    """Return `7 seeds`, `3 splits x 2 seeds`, or `3 splits, 5 seeds` if some failed, from the unit of each seed."""
    each = Counter(of_seeds)
    n, seeds = len(each), counted(len(of_seeds), "seed")
    if unit == "seed":
        return seeds
    words = f"{n} {unit if n == 1 else UNITS[unit]}"
    return f"{words} x {counted(len(of_seeds) // n, 'seed')}" if len({*each.values()}) == 1 else f"{words}, {seeds}"
