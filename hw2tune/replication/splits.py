"""Further splits of a study's images: the training and validation images divided by other seeds, the test as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hw2tune.data.dataset import Dataset, checksum
from hw2tune.errors import DataError
from hw2tune.records.dataset import OF_SPLIT, record_of
from hw2tune.study.schema import Study
from hw2tune.study.splits import split_seed


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Splits by number, from 1: `facts` without training and validation images, which `images` returns."""

    facts: Mapping[int, Dataset] = field(default_factory=dict)
    images: Callable[[int], Dataset] | None = None  # holds all images, undivided
    records: tuple[dict[str, Any], ...] = ()


NONE = Splits()


def draw_splits(study: Study, own: Dataset, divide: Callable[[int], Dataset], count: int) -> Splits:
    """Return splits 1 to `count` of the images that `divide` divides by a split seed.

    Raises DataError if two splits have the same validation images, the study's own among them.
    """
    if not count:
        return NONE

    def images(split: int) -> Dataset:
        return divide(split_seed(study, split))

    facts, records = dict[int, Dataset](), list[dict[str, Any]]()
    there = {checksum(own.validation.images, own.validation.labels): 0}
    for split in range(1, count + 1):
        data = images(split)
        same = there.setdefault(checksum(data.validation.images, data.validation.labels), split)
        if same != split:
            raise DataError(
                f"{own.source}: splits {same} and {split} have the same validation images, as the data set has some of "
                "its own, or groups that allow few others; leave --splits out, or give a smaller number"
            )
        nothing = data.train.take(np.arange(0))
        facts[split] = replace(data, train=nothing, validation=nothing, test=own.test)
        known = vars(record_of(data))
        records.append({"seed": data.split_seed} | {name: known[name] for name in OF_SPLIT})
    return Splits(facts=facts, images=images, records=tuple(records))
