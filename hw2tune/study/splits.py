"""Splits of a claim: numbers from 1, each drawn by a seed of its own, with training seeds of its own.

Split 0 is the study's, on which search and race chose; no claim about splits is trained on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from hw2tune.study.arms import CLAIM_SEEDS, search_of_seed
from hw2tune.study.schema import MOST_SPLITS, Study

FIRST_SEED = 3001  # from the study's own: after those of claims, race and finalists


def split_seed(study: Study, split: int) -> int:
    """Return the seed that draws a split's validation images."""
    return study.split_seed + split


def seeds_of_splits(study: Study, splits: int, each: int) -> list[int]:
    """Return the fresh seeds of training, `each` for every split."""
    return [study.seed + FIRST_SEED + CLAIM_SEEDS * split + n for split in range(splits) for n in range(each)]


def split_of_seed(study: Study, seed: int) -> int:
    """Return the split on which a claim's seed is trained."""
    place = seed - study.seed - FIRST_SEED
    return place // CLAIM_SEEDS + 1 if 0 <= place < CLAIM_SEEDS * MOST_SPLITS and study.searches == 1 else 0


def unit_of_seed(study: Study, unit: str, seed: int) -> int:
    """Return the search or the split of a seed; if neither is repeated, the seed."""
    if unit == "seed":
        return seed
    return search_of_seed(study, seed) if unit == "search" else split_of_seed(study, seed)


def split_faults(study: Study, splits: int | None = None, seeds: int | str | None = None) -> Iterator[str]:
    """Yield what is wrong with the study's splits, or with others and so many seeds on each, and the way out."""
    splits, seeds = study.splits if splits is None else splits, seeds or study.replicates
    if not isinstance(splits, int) or not 1 <= splits <= MOST_SPLITS:
        yield f"splits: must be a number from 1 to {MOST_SPLITS}, but got {splits!r}"
    elif splits == 1:
        return
    elif study.searches > 1:
        yield (
            f"splits: a claim of {study.name} is about {study.searches} searches of each arm, and not about {splits} "
            "splits as well; leave splits out, or set searches = 1"
        )
    elif not isinstance(seeds, int) or seeds > CLAIM_SEEDS:
        yield (
            f"splits: {splits} splits need a number of seeds for each, 1 to {CLAIM_SEEDS}, but got {seeds!r}; set "
            f"replicates = 2, or give --splits {splits} --replicates 2"
        )
