"""Confusion of classes, and the accuracy of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hw2tune.report.figures.drawing import (
    MOST_BESIDE,
    CannotDrawError,
    Drawing,
    Recipe,
    Shown,
    choose,
    class_names,
    plain_variants,
    short,
)
from hw2tune.report.figures.style import GREY, SMALL, WIDTH, legend, looks_of, marker, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import confusion_table, per_class_table
from hw2tune.study.schema import TUNED, is_tuning
from hw2tune.text.numbers import counted, listed

Shares = NDArray[np.float64]
MOST_SHOWN = 20  # in a matrix, or in rows
MOST_PAIRS = 15  # of confused classes
COUNTS, DIVERGING = "Blues", "PuOr_r"  # safe with colour blindness; the first rises in grey as well


def row_shares(counts: NDArray[np.int64]) -> Shares:
    """Counts (K, K) as shares of their row, the true class; NaN where a class has no image."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0))


def pooled_confusion(shown: Shown, variant: str, names: Sequence[str]) -> NDArray[np.int64]:
    """(K, K) counts of one variant, summed over the seeds; a row a true class, a column a predicted one."""
    tables = [confusion_table(a["labels"], a["predicted"], names) for a in shown.arrays[variant].values()]
    return np.asarray(np.sum([table.to_numpy(np.int64) for table in tables], axis=0))


def draw_confusion(data: StudyData, variants: Sequence[str]) -> Drawing:
    """One matrix a variant, side by side, in shares of the true class; of many classes the most confused pairs."""
    shown = choose(data, variants, all_seeds=True)
    names = _names(data)
    if len(names) > MOST_SHOWN:
        return _draw_confused_pairs(shown, names)
    counts = {variant: pooled_confusion(shown, variant, names) for variant in shown.arrays}

    def text(share: float, column: int) -> tuple[str, str]:
        if np.isnan(share) and column == len(names) // 2:
            return "no image", GREY
        return f"{share:.0f}" if share > 0.5 else "", "white" if share > 25 else "black"

    shares = {variant: 100 * row_shares(table) for variant, table in counts.items()}
    # Errors are a few percent: on a linear scale of colours they would all look the same.
    colours = {"cmap": COUNTS, "norm": PowerNorm(0.4, 0, 100)}
    bar = {"label": "share of the images of the true class (%)", "ticks": [0, 1, 5, 10, 25, 50, 100]}
    return Drawing(
        figure=_draw_matrices(shares, names, text, 7.5, colours, bar),
        caption=(
            f"Confusion matrices of {listed(list(counts))} on the test split. A row is a true class and sums to 100 %; "
            "numbers are percent of the row, omitted up to 0.5; the scale of colours is stretched at its lower end, "
            f"so that errors are seen. {_pooled_sentence(shown)}{shown.absent}"
        ),
        alt=f"Confusion matrices, mostly diagonal: {'; '.join(_summary(*each, names) for each in counts.items())}.",
    )


def _summary(variant: str, table: NDArray[np.int64], names: Sequence[str]) -> str:
    errors = table - np.diag(np.diag(table))
    true, said = divmod(int(errors.argmax()), len(names))
    most = f"its most frequent error is {names[true]} taken for {names[said]}" if errors.any() else "it makes no error"
    return f"{variant} is right on {100 * np.trace(table) / max(1, table.sum()):.1f} %, {most}"


def _draw_confused_pairs(shown: Shown, names: Sequence[str]) -> Drawing:
    """The errors that the last variant makes most often, a bar each."""
    variant = list(shown.arrays)[-1]
    table = pooled_confusion(shown, variant, names)
    errors = table - np.diag(np.diag(table))
    places = [int(i) for i in np.argsort(-errors, axis=None, kind="stable")[:MOST_PAIRS] if errors.flat[i]]
    if not places:
        raise CannotDrawError(f"{variant} makes no error on the test images.")
    pairs = [divmod(place, len(names)) for place in places]
    figure = new_figure(height=1.2 + 0.3 * len(pairs))
    axes = figure.subplots()
    axes.barh(range(len(pairs)), [errors[pair] for pair in pairs], color=GREY)
    labels = [" as ".join(short(names[label], MOST_BESIDE) for label in pair) for pair in pairs]
    axes.set_yticks(range(len(pairs)), labels)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("test images")
    true, said = pairs[0]
    return Drawing(
        figure=figure,
        caption=(
            f"Which classes {variant} takes for which: the {len(pairs)} most frequent errors of {errors.sum():,}, as "
            f"true class and answer; a matrix of {len(names):,} classes could not be read. {_pooled_sentence(shown)}"
        ),
        alt=f"Bars of the most frequent errors; most often {names[true]} is taken for {names[said]}.",
    )


def draw_confusion_difference(data: StudyData, variants: tuple[str, str]) -> Drawing:
    """The second variant's matrix minus the first one's, in points."""
    names, (one, other) = _names(data), variants
    if len(names) > MOST_SHOWN:
        raise CannotDrawError(f"A matrix of {len(names):,} classes could not be read; tables/ holds every count.")
    shown = choose(data, variants, required=variants, all_seeds=True)
    before, after = (100 * row_shares(pooled_confusion(shown, variant, names)) for variant in variants)
    difference = after - before
    largest = float(np.nanmax(np.abs(difference), initial=1.0))

    def text(value: float, _: int) -> tuple[str, str]:
        return f"{value:+.0f}" if abs(value) > 0.5 else "", "white" if abs(value) > 0.6 * largest else "black"

    colours = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
    bar = {"label": "difference in share of the true class (points)"}
    diagonal = np.diag(difference)
    order = [int(i) for i in np.argsort(diagonal) if np.isfinite(diagonal[i])]
    best, worst = (f"{names[i]} ({diagonal[i]:+.1f})" for i in (order[-1], order[0]))
    return Drawing(
        figure=_draw_matrices({f"{other} minus {one}": difference}, names, text, SMALL, colours, bar),
        caption=(
            f"Confusion matrix of {other} minus that of {one}, in points of the share of each true class; "
            "differences up to half a point carry no number. On the diagonal more is better, beside it less is. "
            f"{_pooled_sentence(shown)} Small differences are within what another seed changes."
        ),
        alt=f"Matrix of differences between {other} and {one}. Largest gain: {best}; smallest: {worst} points.",
    )


def draw_accuracies(data: StudyData) -> Drawing:
    """A row a class, a point with its interval a variant."""
    shown = choose(data, plain_variants(data))
    every = {v: per_class_table(shown.one(v)["labels"], shown.one(v)["predicted"], _names(data)) for v in shown.arrays}
    tables, omitted = _extremes(every)
    names, looks = list(next(iter(tables.values()))["class"]), looks_of(data.overview.study)
    figure = new_figure(height=1.4 + 0.15 * len(names) * (1 + len(tables)))
    axes = figure.subplots()
    offsets = np.linspace(-0.25, 0.25, len(tables)) if len(tables) > 1 else np.zeros(1)
    for offset, (variant, table) in zip(offsets, tables.items(), strict=True):
        known = table[table["images"] > 0]
        accuracy, low, high = (100 * known[column].to_numpy(float) for column in ("accuracy", "low", "high"))
        look = looks[variant]
        errors = np.maximum([accuracy - low, high - accuracy], 0)  # rounding leaves -1e-17 at 0 % and 100 %
        axes.errorbar(
            accuracy, known.index.to_numpy() + offset, xerr=errors, fmt=look.marker, color=look.colour, linewidth=1.2,
            capsize=2.5,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [short(name, MOST_BESIDE) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#E3E3E3", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on the test images of the class (%)")
    legend(figure, [marker(looks[v], v) for v in tables], columns=len(tables))
    caption = f"{_accuracy_caption(shown, tables)} {omitted}".strip()
    return Drawing(figure=figure, caption=caption, alt=_accuracy_alt(tables))


def _extremes(tables: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], str]:
    """Above MOST_SHOWN the classes that the last variant knows worst and best, and a sentence that says so."""
    last = list(tables.values())[-1]
    if len(last) <= MOST_SHOWN:
        return tables, ""
    half = MOST_SHOWN // 2
    order = list(last[last["images"] > 0].sort_values("accuracy", kind="stable").index)
    kept = [*order[:half], *order[half:][-half:]]
    note = f"Of {len(last):,} classes the {half} are shown that {list(tables)[-1]} knows worst, and the {half} best."
    return {v: table.loc[kept].reset_index(drop=True) for v, table in tables.items()}, note


def _names(data: StudyData) -> list[str]:
    names = class_names(data)
    if not names:
        raise CannotDrawError("The record of the data set is missing: the classes have no names.")
    return names


def _draw_matrices(
    matrices: Mapping[str, Shares],
    names: Sequence[str],
    text: Callable[[float, int], tuple[str, str]],
    size: float,
    colours: Mapping[str, Any],
    bar: Mapping[str, Any],
) -> Figure:
    """Square matrices side by side, by title; `text` is that of a value in a column, with its colour."""
    turned = max(len(name) for name in names) > 2
    labels = 0.95 if turned else 0.35  # inches, left and below
    figure = new_figure(height=(WIDTH - labels) / len(matrices) + labels + 1.05)
    panels = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
        picture = axes.imshow(matrix, **colours)
        axes.set_xticks(range(len(names)), [short(name) for name in names], rotation=90 if turned else 0)
        axes.set_yticks(range(len(names)), [short(name) for name in names])
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set(title=title, xlabel="predicted class", facecolor="#E3E3E3")  # seen where a class has no image
        for (row, column), value in np.ndenumerate(matrix):
            written, colour = text(value, column)
            if written:
                axes.text(column, row, written, ha="center", va="center", fontsize=size, color=colour)
    panels[0].set_ylabel("true class")
    figure.colorbar(picture, ax=panels, location="bottom", shrink=0.8, aspect=40, **bar)
    return figure


def _pooled_sentence(shown: Shown) -> str:
    """Sentence of a caption on the pooled counts."""
    images, seeds = len(shown.one(next(iter(shown.arrays)))["labels"]), shown.seeds
    return (
        f"Counts are pooled over {counted(len(seeds), 'replicate')} per variant "
        f"({'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}), each on the same {images:,} test images, at the "
        "epoch that validation chose."
    )


def _accuracy_caption(shown: Shown, tables: Mapping[str, pd.DataFrame]) -> str:
    first = next(iter(tables.values()))
    images = first["images"]
    size = f"{images.min():,}" if images.min() == images.max() else f"{images.min():,} to {images.max():,}"
    silent = [
        f"{variant} never says {listed(list(table.loc[table['never_predicted'], 'class']))}."
        for variant, table in tables.items()
        if table["never_predicted"].any()
    ]
    empty = list(first.loc[images == 0, "class"])
    return " ".join([
        f"Accuracy by true class on the test images (n = {size} per class) at the epoch that validation chose. Bars "
        "are Wilson 95 % intervals for one network: they speak about other images, not about other seeds, and "
        f"seeds are not pooled, as their test images are the same. {shown.sentence}",
        *silent,
        *([f"There is no test image of {listed(empty)}."] if empty else []),
    ])  # fmt: skip


def _accuracy_alt(tables: Mapping[str, pd.DataFrame]) -> str:
    parts = []
    for variant, table in tables.items():
        known = table[table["images"] > 0].sort_values("accuracy", kind="stable")
        ends = [f"{100 * row['accuracy']:.0f} % ({row['class']})" for row in (known.iloc[0], known.iloc[-1])]
        parts.append(f"{variant} from {' to '.join(ends)}")
    return f"Accuracy of each class with intervals: {'; '.join(parts)}."


def recipes(data: StudyData) -> list[Recipe]:
    """Confusion of the winner and what it is first held against, and accuracies by class."""
    claims = data.overview.study.claims
    main = next((claim for claim in claims if is_tuning(claim)), claims[0] if claims else None)
    shown = [main.b.variant, main.a.variant] if main else [TUNED]
    many = len(class_names(data)) > MOST_SHOWN
    title = f"Most frequent errors: {shown[-1]}" if many else f"Confusion matrices: {listed(shown)}"
    found = [Recipe("confusion", "classes", title, partial(draw_confusion, variants=shown))]
    if main:
        before, after = shown
        draw = partial(draw_confusion_difference, variants=(before, after))
        found.append(Recipe("confusion-difference", "classes", f"Confusion: {after} against {before}", draw))
    return [*found, Recipe("class-accuracies", "classes", "Accuracy by class", draw_accuracies)]
