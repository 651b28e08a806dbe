"""Which classes are taken for which where a matrix of them could not be read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw2tune.report.figures.chosen import Shown
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.labels import short
from hw2tune.report.figures.style import GREY, new_figure
from hw2tune.text.numbers import counted, listed

MOST_PAIRS = 15


def draw_confused_pairs(shown: Shown, table: NDArray[np.int64], names: list[str]) -> Drawing:
    """The errors that the last variant makes most often, a bar each, from its pooled counts (K, K)."""
    variant = shown.variants[-1]
    errors = table - np.diag(np.diag(table))
    places = [int(i) for i in np.argsort(-errors, axis=None, kind="stable")[:MOST_PAIRS] if errors.flat[i]]
    if not places:
        raise CannotDrawError(f"{variant} makes no error on the test images.")
    pairs = [tuple(map(int, np.unravel_index(place, errors.shape))) for place in places]
    figure = new_figure(height=1.2 + 0.3 * len(pairs))
    axes = figure.subplots()
    axes.barh(range(len(pairs)), [errors[pair] for pair in pairs], color=GREY)
    axes.set_yticks(range(len(pairs)), [f"{short(names[true])} as {short(names[said])}" for true, said in pairs])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("test images")
    most = pairs[0]
    return Drawing(
        figure=figure,
        caption=(
            f"Which classes {variant} takes for which: the {len(pairs)} most frequent errors of {errors.sum():,}, as "
            f"true class and answer; a matrix of {len(names):,} classes could not be read. {pooled_sentence(shown)}"
        ),
        alt=f"Bars of the most frequent errors; most often {names[most[0]]} is taken for {names[most[1]]}.",
    )


def pooled_sentence(shown: Shown) -> str:
    """How counts were pooled, for a caption."""
    images = len(shown.one(shown.variants[0])["labels"])
    return (
        f"Counts are pooled over {counted(len(shown.seeds), 'replicate')} per variant "
        f"({listed_seeds(shown.seeds)}), each on the same {images:,} test images, at the epoch that validation "
        "chose."
    )


def listed_seeds(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1 and 2`."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}"
