"""Loss and accuracy by epoch: training and validation, per variant, with the published points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, distinct_variants
from hw2tune.report.figures.style import GREY, Look, legend, looks_of, new_figure, paper
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import curve_table
from hw2tune.study.names import MODELS
from hw2tune.study.published import PublishedEpoch, published_epochs
from hw2tune.study.schema import Study
from hw2tune.text.numbers import listed, measured

Quantity = Literal["loss", "accuracy"]
TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held_out"
TITLES = {TRAIN: "Training", VALIDATION: "Validation", HELD_OUT: "Held-out test"}
IMAGES = {VALIDATION: "validation images", HELD_OUT: "test images that no training saw"}
LOSSES = {
    "double_softmax": "cross-entropy of softmax outputs (as published; minimum 1.4612)",
    "cross_entropy": "cross-entropy on logits",
}
DOUBLE_SOFTMAX_MINIMUM = 1.4612  # nats: -log(e / (e + 9)), with 10 classes
PUBLISHED_LOSS = {"mnist": "double_softmax", "cifar10": "cross_entropy"}  # under which the printed losses were taken
MOST_MARKERS = 8  # on a line; more would hide it


class PublishedPoint(NamedTuple):
    """One printed number, in the panel of the images that it was taken on."""

    run: str
    panel: str
    kind: str  # training, validation, test, or "test" that used the training images
    epoch: int
    value: float


def published_points(study: Study, quantity: Quantity, last_epoch: int) -> list[PublishedPoint]:
    """The printed numbers up to `last_epoch` of the variants that were published; losses only if taken as here.

    The printed CIFAR-10 "test" figures count 50,000 images, the training images: they go into the training panel.
    The printed test figures of MNIST stand in the validation panel where no validation figure is printed.
    """
    if quantity == "loss" and PUBLISHED_LOSS.get(study.dataset) != study.loss:
        return []
    epochs = [epoch for run in study.variants for epoch in published_epochs(study.dataset, run)]
    return [point for epoch in epochs if epoch.epoch <= last_epoch for point in _points(epoch, quantity)]


def _points(epoch: PublishedEpoch, quantity: Quantity) -> list[PublishedPoint]:
    loss = quantity == "loss"
    training = epoch.train_loss if loss else epoch.train_accuracy
    panel, kind, value = VALIDATION, "test", epoch.test_loss if loss else epoch.test_accuracy
    if epoch.validation_accuracy is not None and not loss:
        kind, value = "validation", epoch.validation_accuracy
    elif epoch.test_total == 50_000:
        panel, kind = TRAIN, "“test” on the training images"
    return [
        PublishedPoint(epoch.run, TRAIN, "training", epoch.epoch, training),
        PublishedPoint(epoch.run, panel, kind, epoch.epoch, value),
    ]


def draw_curves(data: StudyData, quantity: Quantity, below: str = VALIDATION) -> Drawing:
    """Two panels, training and `below` it validation or HELD_OUT, with the variants' means and the published points."""
    if not data.replicates:
        raise CannotDrawError("No replicate was trained yet: curves are drawn from replicates.")
    variants, left_out = distinct_variants(data)
    data = replace(data, replicates=[r for r in data.replicates if r.variant in variants])
    tables = {split: curve_table(data, f"{split}_{quantity}") for split in (TRAIN, below)}
    if tables[TRAIN].empty:
        raise CannotDrawError("No replicate finished an epoch: there is no curve to draw.")
    study, broken = data.overview.study, [r for r in data.replicates if r.state != COMPLETE]
    published = published_points(study, quantity, int(tables[TRAIN]["epoch"].max()))
    looks, scale = looks_of(study), 100.0 if quantity == "accuracy" else 1.0
    figure = new_figure(height=6.4)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (split, table) in zip(panels, tables.items(), strict=True):
        _draw_panel(axes, table, broken, scale, looks)
        _draw_published(axes, [point for point in published if point.panel == split], scale, looks)
        size = data.dataset.sizes.get(split) if data.dataset else None
        axes.set_title(TITLES[split] + ("" if size is None else f" ({size:,} images)"))
        if quantity == "loss" and study.loss == "double_softmax":
            axes.axhline(DOUBLE_SOFTMAX_MINIMUM, color=GREY, linestyle=":", linewidth=1.2)
    panels[1].set_xlabel("epoch")
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    unit = f"loss (nats per image):\n{LOSSES[study.loss]}" if quantity == "loss" else "accuracy (%)"
    figure.supylabel(unit)
    legend(figure, _legend(data, quantity, published, broken), columns=2)
    caption = f"{_caption(data, quantity, below, published, broken)} {left_out}".strip()
    return Drawing(figure=figure, caption=caption, alt=_alt(tables[below], quantity, below))


def _draw_panel(
    axes: Axes, table: pd.DataFrame, broken: Sequence[Replicate], scale: float, looks: Mapping[str, Look]
) -> None:
    for variant, points in table.groupby("variant", sort=False):
        look, epochs = looks[str(variant)], points["epoch"].to_numpy(int)
        mean, low, high = (scale * points[column].to_numpy(float) for column in ("mean", "min", "max"))
        every = math.ceil(len(points) / MOST_MARKERS)
        axes.plot(epochs, mean, color=look.colour, linestyle=look.dashes, marker=look.marker, markevery=every)
        if points["n"].max() > 1:
            axes.fill_between(epochs, low, high, color=look.colour, alpha=0.15, linewidth=0)
        by_epoch = dict(zip(epochs.tolist(), mean.tolist(), strict=True))
        lasts = {max(epoch["epoch"] for epoch in r.epochs) for r in broken if r.variant == variant and r.epochs}
        ends = sorted(lasts & by_epoch.keys())
        axes.plot(ends, [by_epoch[e] for e in ends], "X", color=look.colour, markersize=10, markeredgecolor=paper())
    if table.empty:
        axes.text(0.5, 0.5, "not measured: no images", transform=axes.transAxes, ha="center", color=GREY)


def _draw_published(axes: Axes, points: Sequence[PublishedPoint], scale: float, looks: Mapping[str, Look]) -> None:
    for run, kind in dict.fromkeys((point.run, point.kind) for point in points):
        chosen = [point for point in points if (point.run, point.kind) == (run, kind)]
        mark = _published_mark(run, kind, looks[run], small=len(chosen) > MOST_MARKERS)
        mark.set_data([p.epoch for p in chosen], [scale * p.value for p in chosen])
        axes.add_line(mark)
        axes.autoscale_view()


def _published_mark(run: str, kind: str, look: Look, *, small: bool = False) -> Line2D:
    """Open markers for what was taken as its panel says, crosses for test figures."""
    shape = ("+" if run == "baseline" else "x") if "test" in kind else look.marker
    return Line2D(
        [], [], linestyle="", marker=shape, markersize=4.5 if small else 7, markeredgewidth=1.2, markerfacecolor="none",
        markeredgecolor=look.colour, label=f"published {run}, {kind}" if "test" in kind else f"published {run}",
    )  # fmt: skip


def _legend(
    data: StudyData, quantity: Quantity, published: Sequence[PublishedPoint], broken: Sequence[Replicate]
) -> list[Line2D]:
    looks = looks_of(data.overview.study)
    shown = {variant: looks[variant] for variant in data.variants if data.of(variant)}
    handles = [Line2D([], [], color=k.colour, linestyle=k.dashes, marker=k.marker, label=v) for v, k in shown.items()]
    if any(replicate.epochs for replicate in broken):
        label = "a seed broke off here"
        handles.append(Line2D([], [], linestyle="", marker="X", color=GREY, markersize=8, label=label))
    if quantity == "loss" and data.overview.study.loss == "double_softmax":
        label = f"smallest possible value, {DOUBLE_SOFTMAX_MINIMUM}"
        handles.append(Line2D([], [], color=GREY, linestyle=":", linewidth=1.2, label=label))
    marks = [_published_mark(run, kind, looks[run]) for run, kind in dict.fromkeys((p.run, p.kind) for p in published)]
    return handles + list({str(mark.get_label()): mark for mark in marks}.values())


def _caption(
    data: StudyData,
    quantity: Quantity,
    below: str,
    published: Sequence[PublishedPoint],
    broken: Sequence[Replicate],
) -> str:
    study = data.overview.study
    seeds = {v: [r.seed for r in data.of(v)] for v in data.variants if data.of(v)}
    several = any(len(s) > 1 for s in seeds.values())
    what = f"Loss, {LOSSES[study.loss]}," if quantity == "loss" else "Accuracy"
    sentences = [
        f"{what} by epoch on {data.label}: above on the training images, as a mean over the batches in "
        f"training mode, with the weights still moving; below on the {IMAGES[below]} after the epoch.",
        ("Lines are means over the seeds; bands span the smallest to the largest value over the seeds and are no "
        "confidence interval." if several else "One seed: there is no band.") + " " + _seeds_sentence(seeds),
        _published_sentence(study, quantity, published),
        *(f"{r.variant}, seed {r.seed}, broke off: {r.reason or r.state}." for r in broken),
        "Means are over the seeds that reached the epoch." if broken else "",
    ]  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def _seeds_sentence(seeds: Mapping[str, Sequence[int]]) -> str:
    distinct = {tuple(each) for each in seeds.values()}
    if len(distinct) > 1:
        return f"n: {', '.join(f'{variant} {len(each)}' for variant, each in seeds.items())}."
    common = distinct.pop()
    return f"n = {len(common)} per variant ({'seed' if len(common) == 1 else 'seeds'} {listed(common)})."


def _published_sentence(study: Study, quantity: Quantity, published: Sequence[PublishedPoint]) -> str:
    known = study.model in MODELS  # only of these networks was anything published
    if not published and known and quantity == "loss" and PUBLISHED_LOSS.get(study.dataset, study.loss) != study.loss:
        return "The published losses were taken in another way and are not drawn."
    if not published:
        return ""
    sentence = "Open markers and crosses are the published numbers, one run each."
    if any("training images" in point.kind for point in published):
        sentence += (
            " What was published as test (crosses) had been evaluated on the training images and stands with them."
        )
    elif any(point.kind == "test" for point in published):
        sentence += " No validation loss was published; crosses are the published loss on the 10,000 test images."
    return sentence


def _alt(table: pd.DataFrame, quantity: Quantity, below: str) -> str:
    kind = TITLES[below].lower()
    last = table.groupby("variant", sort=False).tail(1)
    ends = [f"{v} {measured(float(m), quantity)}" for v, m in zip(last["variant"], last["mean"], strict=True)]
    at_end = f" On {kind} they end at {listed(ends)}." if ends else ""
    return f"Line chart of training and {kind} {quantity} by epoch, one line per variant.{at_end}"
