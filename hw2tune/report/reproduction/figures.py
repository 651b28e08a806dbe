"""The published runs reproduced: curves over the seeds under the published points, one panel a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hw2tune.records.replicates.records import Replicate
from hw2tune.report.figures.curves import MOST_MARKERS, PUBLISHED_LOSS, Quantity, endings
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.labels import DOUBLE_SOFTMAX_MINIMUM, LOSSES, seeds_sentence
from hw2tune.report.figures.style import BLACK, BLUE, GREEN, GREY, SMALL, VERMILLION, Look, legend_above, new_figure
from hw2tune.report.reproduction.tables import FIELDS
from hw2tune.report.tables.curves import curve_of, epochs_frame
from hw2tune.report.tables.frames import INTEGER, NUMBER, TEXT, frame
from hw2tune.study.published import RUNS, published_epochs
from hw2tune.text.numbers import listed, measured

TRAIN, VALIDATION, TEST, HELD_OUT = "train", "validation", "test", "held_out"
LOOKS = {
    TRAIN: Look(BLACK, "o"),
    VALIDATION: Look(GREEN, "D", (0, (1.5, 1.5))),
    TEST: Look(VERMILLION, "s", (0, (5, 1.5))),
    HELD_OUT: Look(BLUE, "^", (0, (7, 1.5, 1.5, 1.5))),
}
COLUMNS = {"run": TEXT, "curve": TEXT, "epoch": INTEGER, "n": INTEGER}
NUMBERS = dict.fromkeys(("mean", "min", "max", "published"), NUMBER)


def reproduction_curves(dataset: str, replicates: Sequence[Replicate], quantity: Quantity, caveat: str) -> pd.DataFrame:
    """One row a run, curve and epoch: run, curve, epoch, n, mean, min, max (over seeds), published.

    `held_out` is a curve of its own only under a caveat: without one, the published test images are the held-out ones.
    `n` is missing at a printed epoch that no seed reached, `published` at an epoch that is not printed.
    """
    epochs = epochs_frame([{"variant": r.variant, "seed": r.seed, **epoch} for r in replicates for epoch in r.epochs])
    fields = {curve: FIELDS.get(f"{curve}_{quantity}", "") for curve in (TRAIN, VALIDATION, TEST)}
    rows = [row for curve, field in fields.items() for row in _rows(dataset, epochs, curve, quantity, field)]
    rows += _rows(dataset, epochs, HELD_OUT, quantity, f"held_out_{quantity}") if caveat else []
    return frame(rows, COLUMNS | NUMBERS)


def _rows(dataset: str, epochs: pd.DataFrame, curve: str, quantity: Quantity, field: str) -> list[dict[str, Any]]:
    band = curve_of(epochs, field)
    rows: list[dict[str, Any]] = []
    for run in RUNS:
        values = {epoch.epoch: getattr(epoch, f"{curve}_{quantity}", None) for epoch in published_epochs(dataset, run)}
        published = {epoch: value for epoch, value in values.items() if value is not None}
        reproduced: dict[int, dict[Any, Any]] = {
            row["epoch"]: row for row in band[band["variant"] == run].to_dict("records")
        }
        rows += [
            {**reproduced.get(epoch, {}), "run": run, "curve": curve, "epoch": epoch, "published": published.get(epoch)}
            for epoch in sorted(published | reproduced)
        ]
    return rows


def draw_reproduction(
    dataset: str, label: str, replicates: Sequence[Replicate], quantity: Quantity, caveat: str
) -> Drawing:
    """Two panels, baseline above L2. `label` is how the data are called; `caveat` stands at what was published as test.

    Raises CannotDrawError where no seed finished an epoch.
    """
    table = reproduction_curves(dataset, replicates, quantity, caveat)
    if table["n"].isna().all():
        raise CannotDrawError(
            "No seed of either run finished an epoch, so there is nothing beside the printed numbers."
        )
    scale = 100.0 if quantity == "accuracy" else 1.0
    figure = new_figure(height=7.2)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, run in zip(panels, RUNS, strict=True):
        rows = table[table["run"] == run]
        _draw_panel(axes, rows, scale)
        axes.set_title(f"{run} ({_seeds_words(replicates, run)})")
        if caveat:
            _draw_caveat(axes, rows[rows["curve"] == TEST], quantity, scale, caveat)
        if quantity == "loss" and PUBLISHED_LOSS[dataset] == "double_softmax":
            axes.axhline(DOUBLE_SOFTMAX_MINIMUM, color=GREY, linestyle=":", linewidth=1.2)
    panels[1].set_xlabel("epoch")
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    unit = "accuracy (%)" if quantity == "accuracy" else f"loss (nats per image):\n{LOSSES[PUBLISHED_LOSS[dataset]]}"
    figure.supylabel(unit, fontsize=10)
    legend_above(figure, _legend(dataset, table, quantity, caveat), columns=2)
    return Drawing(
        figure=figure,
        caption=_caption(dataset, label, replicates, quantity, table, caveat),
        alt=_alt(table, quantity, caveat),
    )


def _draw_panel(axes: Axes, rows: pd.DataFrame, scale: float) -> None:
    for curve, points in rows.groupby("curve", sort=False):
        look = LOOKS[str(curve)]
        trained = points[points["n"].notna()]
        epochs = trained["epoch"].to_numpy(int)
        mean, low, high = (scale * trained[column].to_numpy(float) for column in ("mean", "min", "max"))
        axes.plot(epochs, mean, color=look.colour, linestyle=look.dashes)
        if len(trained) and trained["n"].max() > 1:
            axes.fill_between(epochs, low, high, color=look.colour, alpha=0.18, linewidth=0)
        printed = points[points["published"].notna()]
        mark = _published_mark(look, small=len(printed) > MOST_MARKERS)
        mark.set_data(printed["epoch"].to_numpy(int), scale * printed["published"].to_numpy(float))
        axes.add_line(mark)
    axes.autoscale_view()


def _published_mark(look: Look, label: str = "", *, small: bool = False) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=look.marker, markersize=4 if small else 6.5, markeredgewidth=0.9 if small else 1.2,
        markerfacecolor="none", markeredgecolor=look.colour, label=label,
    )  # fmt: skip


def _draw_caveat(axes: Axes, test: pd.DataFrame, quantity: Quantity, scale: float, caveat: str) -> None:
    """The caveat in the corner that curves leave free, with a pointer to what was published as test."""
    printed = test[test["published"].notna()]
    at = printed.iloc[len(printed) * 7 // 8]  # late: the markers stand apart, and the pointer crosses none
    colour, above = LOOKS[TEST].colour, quantity == "accuracy"
    axes.annotate(
        caveat, xy=(float(at["epoch"]), scale * float(at["published"])), xytext=(0.02, 0.97 if above else 0.03),
        textcoords="axes fraction", va="top" if above else "bottom", fontsize=SMALL, fontweight="bold", color=colour,
        bbox={"boxstyle": "square,pad=0.35", "facecolor": "white", "edgecolor": colour},
        arrowprops={"arrowstyle": "-", "color": colour, "shrinkB": 3},
    )  # fmt: skip


def _legend(dataset: str, table: pd.DataFrame, quantity: Quantity, caveat: str) -> list[Line2D]:
    curves = list(table["curve"].unique())
    names = _names(caveat)
    lines = [
        Line2D([], [], color=LOOKS[c].colour, linestyle=LOOKS[c].dashes, label=f"{names[c]}, reproduced")
        for c in curves
    ]
    marks = [_published_mark(LOOKS[c], f"{names[c]}, published") for c in curves if c != HELD_OUT]
    if quantity == "loss" and PUBLISHED_LOSS[dataset] == "double_softmax":
        label = f"smallest possible value, {DOUBLE_SOFTMAX_MINIMUM}"
        lines.append(Line2D([], [], color=GREY, linestyle=":", linewidth=1.2, label=label))
    return lines + marks


def _names(caveat: str) -> dict[str, str]:
    test = "“test” (training images)" if caveat else "test (held out)"
    return {TRAIN: "training", VALIDATION: "validation", TEST: test, HELD_OUT: "held-out test"}


def _seeds_words(replicates: Sequence[Replicate], run: str) -> str:
    n = sum(1 for replicate in replicates if replicate.variant == run and replicate.epochs)
    return f"n = {n}" if n else "no seed was trained: published points only"


def _caption(
    dataset: str, label: str, replicates: Sequence[Replicate], quantity: Quantity, table: pd.DataFrame, caveat: str
) -> str:
    seeds = {run: [r.seed for r in replicates if r.variant == run and r.epochs] for run in RUNS}
    several = any(len(trained) > 1 for trained in seeds.values())
    what = f"Loss, {LOSSES[PUBLISHED_LOSS[dataset]]}," if quantity == "loss" else "Accuracy"
    sentences = [
        f"{what} by epoch on {label}; above the published baseline, below the published L2 run. Lines are this code's "
        "repetitions, open markers the published numbers, one run each.",
        "Training: on the training images, as a mean over the batches in training mode, with the weights still moving.",
        "Validation: on the validation images after the epoch." if VALIDATION in set(table["curve"]) else "",
        _test_sentence(caveat),
        ("Lines are means over the seeds; bands span the smallest to the largest value over the seeds and are no "
        "confidence interval." if several else "One seed a run: there is no band."),
        seeds_sentence(seeds),
        _gap_sentence(dataset),
        *(f"No seed of {run} was trained: its panel shows published points alone." for run in RUNS if not seeds[run]),
        *(f"{e.variant}, seed {e.seed}, broke off after epoch {e.epoch}: {e.reason}." for e in endings(replicates)),
    ]  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def _test_sentence(caveat: str) -> str:
    if caveat:
        return (
            f"“Test”: what was published as test was {caveat}, and is repeated so, after the epoch. Held-out test: the "
            "test images that no training saw, after the epoch, for the curve only; nothing was published on them."
        )
    return (
        "Test: on the test images that no training saw, after the epoch; as published, so the held-out test curve is "
        "this one."
    )


def _gap_sentence(dataset: str) -> str:
    printed = {epoch.epoch for run in RUNS for epoch in published_epochs(dataset, run)}
    missing = sorted(set(range(1, max(printed))) - printed)
    return f"Epochs {missing[0]} to {missing[-1]} are not printed in the report." if missing else ""


def _alt(table: pd.DataFrame, quantity: Quantity, caveat: str) -> str:
    trained = table[table["n"].notna()]
    last = trained.groupby(["run", "curve"], sort=False).tail(1)
    ends = [
        f"{run} {listed([_ending(row, quantity, caveat) for _, row in rows.iterrows()])}"
        for run, rows in last.groupby("run", sort=False)
    ]
    return (
        f"Line chart of reproduced {quantity} by epoch with the published points, one panel a run. "
        f"The lines end at: {'; '.join(ends)}."
    )


def _ending(row: pd.Series, quantity: Quantity, caveat: str) -> str:
    return f"{_names(caveat)[row['curve']]} {measured(float(row['mean']), quantity)}"
