"""A panel for each hyperparameter: its values against those of the trials, with the edges that should be widened."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from matplotlib.axes import Axes

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.space import at_edges
from hw2tune.report.doctor.thresholds import BEST, EDGE
from hw2tune.report.figures.coordinates import BELOW, Coordinate, coordinates_of
from hw2tune.report.figures.drawing import Drawing
from hw2tune.report.figures.style import (
    BLACK,
    VERMILLION,
    Look,
    ink,
    legend,
    marker,
    new_figure,
    optimizer_look,
    paper,
    small,
)
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import OPTIMIZERS
from hw2tune.text.numbers import counted, label_of, listed

COLUMNS = 2


def draw_panels(data: StudyData) -> Drawing:
    """Draw the trials in one panel per hyperparameter that differs between them, the best ones ringed."""
    study, (rows, table) = data.overview.study, coordinates_of(data)
    found = list(at_edges(data))
    height = 2.1 * -(-len(table) // COLUMNS) + 0.6
    figure = new_figure(height=height)
    grid = figure.subplots(-(-len(table) // COLUMNS), COLUMNS, squeeze=False, sharey=True)
    for axes, coordinate in zip(grid.flat, table, strict=False):
        _draw_trials(axes, coordinate, rows, data)
        _draw_edges(axes, [one for one in found if one.hyperparameter == coordinate.name])
        axes.set_xticks([place for place, _ in coordinate.ticks], [text for _, text in coordinate.ticks])
        axes.set(
            xlabel=label_of(coordinate.name), xlim=(BELOW - 0.06 if BELOW in coordinate.positions else -0.06, 1.06)
        )
    for axes in list(grid.flat)[len(table) :]:
        axes.set_visible(False)
    figure.supylabel(f"best {study.objective_spec.axis} of the trial", fontsize=small() + 1)
    optimizers = sorted({_optimizer(row, data) for row in rows})
    handles = [marker(optimizer_look(one), one or "no optimizer named") for one in optimizers]
    if any(row.state != COMPLETE for row in rows):
        handles.append(marker(Look(BLACK, "o"), "open: pruned", filled=False))
    best = min(BEST, len(rows))
    legend(figure, [*handles, marker(Look(BLACK, "o"), f"ring: best {best}", filled=False)], columns=3)
    return Drawing(
        figure=figure,
        caption=_caption(data, rows, table, found, optimizers),
        alt=(
            f"{counted(len(table), 'panel')} of {counted(len(rows), 'trial')}, value against "
            f"{listed([one.name for one in table])}. {' '.join(one.finding for one in found)}"
        ).strip(),
    )


def _optimizer(row: TrialRow, data: StudyData) -> str:
    return str(row.params.get("optimizer") or data.overview.study.training.get("optimizer", ""))


def _draw_trials(axes: Axes, coordinate: Coordinate, rows: Sequence[TrialRow], data: StudyData) -> None:
    """Draw trials by optimizer, open if they were pruned, and rings around the best."""
    scale = data.overview.study.objective_spec.scale
    places = [(x, scale * (row.value or 0.0)) for x, row in zip(coordinate.positions, rows, strict=True)]
    kinds = [(_optimizer(row, data), row.state == COMPLETE) for row in rows]
    for kind in dict.fromkeys(kinds):
        look = optimizer_look(kind[0])
        xs, ys = zip(*(place for place, own in zip(places, kinds, strict=True) if own == kind), strict=True)
        face = look.colour if kind[1] else paper()
        axes.plot(xs, ys, look.marker, color=look.colour, markerfacecolor=face, markersize=5, linestyle="")
    best = places[:BEST]
    axes.plot(*zip(*best, strict=True), "o", color=ink(), markerfacecolor="none", markersize=10, linestyle="")


def _draw_edges(axes: Axes, found: Sequence[Finding]) -> None:
    for one in found:
        low = 1 - EDGE if "upper edge" in one.finding else -EDGE
        axes.axvspan(low, low + 2 * EDGE, color=VERMILLION, alpha=0.18, linewidth=0)
        axes.set_title("best at the edge", color=VERMILLION, fontsize=small())


def _caption(
    data: StudyData, rows: Sequence[TrialRow], table: Sequence[Coordinate], found: Sequence[Finding], names: list[str]
) -> str:
    below = [f"“{text}” of {label_of(one.name)}" for one in table for place, text in one.ticks if place == BELOW]
    apart = f" {listed(below).capitalize()} {'is' if len(below) == 1 else 'are'} apart from the range." if below else ""
    edges = " ".join(chain.from_iterable((one.finding, one.remedy) for one in found))
    decay = _weight_decay_words(names) if any(one.name == "weight_decay" for one in table) else ""
    return (
        f"Best {data.overview.study.objective_spec.label} of each trial (n = {len(rows)}) against each hyperparameter, "
        f"by optimizer; pruned trials had fewer epochs.{apart}{decay} The other hyperparameters differ too, so the "
        f"panels show the place of good trials and not the effect of one hyperparameter.{' ' + edges if edges else ''}"
    )


def _weight_decay_words(optimizers: Sequence[str]) -> str:
    """Return the sentence on weight decay in these optimizers."""
    named = sorted(OPTIMIZERS.keys() & set(optimizers))
    coupled, decoupled = ([name for name in named if OPTIMIZERS[name].decoupled == kind] for kind in (False, True))
    parts = [f"in {listed(coupled)} coupled (L2 in the gradient)"] if coupled else []
    parts += [f"in {listed(decoupled)} decoupled"] if decoupled else []
    unequal = ": equal numbers do not mean equal strength" if len(parts) == 2 else ""
    return f" Weight decay is {', '.join(parts)}{unequal}." if parts else ""
