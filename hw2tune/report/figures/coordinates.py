"""Parallel coordinates: each trial a line through its hyperparameters to its value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import PRUNED
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, short
from hw2tune.report.figures.history import has_value, no_value_sentence
from hw2tune.report.figures.style import SEQUENTIAL, SMALL, ink, legend, looks_of, new_figure, paper, power_of_ten
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval, Space
from hw2tune.text.numbers import counted, label_of, listed, scientific

BELOW = -0.16  # where a value lies that has no place on its axis: exactly 0, or not there at all
PRUNED_DASHES = (0, (4, 1.5))
MOST_VECTORS = 1000  # lines; more are pixels in the PDF too, which would be large and slow otherwise
MOST_IN_LINE = 8  # axes whose names have room side by side


class Coordinate(NamedTuple):
    """One axis, from 0 at its foot to 1 at its head."""

    name: str
    ticks: list[tuple[float, str]]
    positions: list[float]  # of the trials, in their order


def coordinates_of(data: StudyData, *, best_last: bool = False) -> tuple[list[TrialRow], list[Coordinate]]:
    """Return the trials with a value, the best first or last, and their axes. Raises CannotDrawError without any."""
    study = data.overview.study
    rows = best_first([row for row in data.overview.rows if has_value(row)], study.direction)
    rows = rows[::-1] if best_last else rows
    if not rows:
        raise CannotDrawError(no_value_sentence(data))
    if table := coordinate_table(study.search_space, rows):
        return rows, table
    raise CannotDrawError(f"No hyperparameter differs between the {counted(len(rows), 'trial')} that have a value.")


def coordinate_table(space: Space, rows: Sequence[TrialRow]) -> list[Coordinate]:
    """One axis a hyperparameter that differs between the trials, in the order of the study file."""
    columns = {name: [row.params.get(name) for row in rows] for name in space.distributions}
    return [
        _of_choices(name, distribution, columns[name])
        if isinstance(distribution, Choice)
        else _of_interval(name, distribution, columns[name])
        for name, distribution in space.distributions.items()
        if len(set(columns[name])) > 1
    ]


def _of_choices(name: str, choice: Choice, values: Sequence[Value | None]) -> Coordinate:
    places = {value: i / max(1, len(choice.choices) - 1) for i, value in enumerate(choice.choices)}
    ticks = [(place, short(str(value))) for value, place in places.items()]
    positions = [BELOW if value is None else places.get(value, BELOW) for value in values]
    return Coordinate(name, ticks + ([(BELOW, "none")] if BELOW in positions else []), positions)


def _of_interval(name: str, interval: Interval, values: Sequence[Value | None]) -> Coordinate:
    low, high = (math.log10(v) if interval.log else v for v in (interval.low, interval.high))
    width = (high - low) or 1.0

    def position(value: Value | None) -> float:
        if value is None or (value == 0 and not interval.low <= 0):
            return BELOW
        number = float(value)
        return ((math.log10(number) if interval.log else number) - low) / width

    if interval.log:
        powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        ticks = [((power - low) / width, power_of_ten(power)) for power in powers]
    else:
        round_values = MaxNLocator(4).tick_values(low, high)
        ticks = [((v - low) / width, f"{v:g}") for v in round_values if low - 1e-9 <= v <= high + 1e-9]
    below = "0" if 0 in values and interval.low > 0 else "none" if None in values else ""
    return Coordinate(name, ticks + ([(BELOW, below)] if below else []), [position(v) for v in values])


def draw_coordinates(data: StudyData) -> Drawing:
    """Worst trials first, so that the best lie on top."""
    study, (rows, table) = data.overview.study, coordinates_of(data, best_last=True)
    label = study.objective_spec.axis
    values = [study.objective_spec.scale * row.value for row in rows if row.value is not None]
    low, high = min(values), max(values) if max(values) > min(values) else min(values) + 1
    norm = Normalize(low, high)
    figure = new_figure(height=4.6)
    axes = figure.subplots()
    lines = [
        [*enumerate(coordinate.positions[i] for coordinate in table), (len(table), float(norm(value)))]
        for i, value in enumerate(values)
    ]
    _draw_trials(axes, lines, mpl.colormaps[SEQUENTIAL](norm(values)), rows, study)
    ends = [f"{end:.1f}" if label.endswith("(%)") else f"{end:.3g}" for end in (low, high)]
    for x, coordinate in enumerate([*table, Coordinate(label, [*enumerate(ends)], [])]):
        _draw_axis(axes, x, coordinate)
    axes.set(xlim=(-0.35, len(table) + 0.35), ylim=(BELOW - 0.05, 1.05), yticks=[])
    names = [label_of(coordinate.name).replace(" ", "\n", 1) for coordinate in table]
    names.append(label.replace(" ", "\n", -1 if "(" in label else 1))
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    if len(names) > MOST_IN_LINE:
        for tick in axes.xaxis.get_major_ticks()[::-2]:  # below the two lines of the others
            tick.set_pad(mpl.rcParams["xtick.major.pad"] + 2.8 * mpl.rcParams["xtick.labelsize"])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, SEQUENTIAL), ax=axes, location="bottom", shrink=0.7, aspect=40)
    bar.set_label(f"best {label} of the trial")
    legend(figure, _legend(rows, study), columns=3)
    return Drawing(figure=figure, caption=_caption(data, rows, table), alt=_alt(rows, table))


def _draw_trials(
    axes: Axes,
    lines: Sequence[list[tuple[int, float]]],
    colours: Any,
    rows: Sequence[TrialRow],
    study: Study,
) -> None:
    """Draw the trials in the `colours` (N, 4) of their values."""
    looks = looks_of(study)
    pruned = [row.state == PRUNED for row in rows[:-1]]
    collection = LineCollection(
        lines[:-1],  # one artist, as a study may have thousands
        colors=colours[:-1],
        linewidths=[0.9 if early else 1.5 for early in pruned],
        linestyles=[PRUNED_DASHES if early else "-" for early in pruned],
        zorder=1.9,
        rasterized=len(lines) > MOST_VECTORS,
    )
    axes.add_collection(collection)
    outline = [withStroke(linewidth=5, foreground=ink())]
    axes.plot(*zip(*lines[-1], strict=True), color=colours[-1], linewidth=2.6, zorder=3, path_effects=outline)
    for line, row in zip(lines, rows, strict=True):
        if row.label in looks:
            look = looks[row.label]
            size, layer = (5, 5) if row.label == next(iter(looks)) else (9, 4)  # references share most places
            axes.plot(
                *zip(*line, strict=True), look.marker, color=look.colour, markersize=size, markeredgecolor=paper(),
                zorder=layer,
            )  # fmt: skip


def _draw_axis(axes: Axes, x: int, coordinate: Coordinate) -> None:
    axes.plot([x, x], [0, 1], color=ink(), linewidth=0.8, zorder=2)
    for place, text in coordinate.ticks:
        axes.plot([x - 0.03, x + 0.03], [place, place], color=ink(), linewidth=0.8, zorder=2)
        axes.text(
            x - 0.06, place, text, ha="right", va="center", fontsize=SMALL, zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground=paper())],
        )  # fmt: skip


def _legend(rows: Sequence[TrialRow], study: Study) -> list[Line2D]:
    looks = looks_of(study)
    grey, outline = mpl.colormaps[SEQUENTIAL](0.5), [withStroke(linewidth=5, foreground=ink())]
    handles = [Line2D([], [], color=grey, linewidth=2.6, path_effects=outline, label="best")]
    if any(row.state != PRUNED for row in rows):
        handles.append(Line2D([], [], color=grey, linewidth=1.5, label="complete"))
    if any(row.state == PRUNED for row in rows):
        handles.append(Line2D([], [], color=grey, linewidth=0.9, linestyle=PRUNED_DASHES, label="pruned"))
    for row in sorted(rows, key=lambda row: row.number):
        if look := looks.get(row.label):
            name = f"reference: {row.label}"
            mark = Line2D([], [], linestyle="", marker=look.marker, color=look.colour, markersize=6, label=name)
            handles.append(mark)
    return handles


def _caption(data: StudyData, rows: Sequence[TrialRow], table: Sequence[Coordinate]) -> str:
    study = data.overview.study
    below = [
        f"“{text}” below the axis of {label_of(c.name)}" for c in table for place, text in c.ticks if place == BELOW
    ]
    reason = "exactly zero, or a hyperparameter that the trial does not have"
    apart = f" {listed(below).capitalize()} stand{'s' if len(below) == 1 else ''} apart: {reason}." if below else ""
    fixed = [label_of(name) for name in study.space if name not in [c.name for c in table]]
    left_out = f" Omitted, the same in all trials: {listed(fixed)}." if fixed else ""
    return (
        f"The {counted(len(rows), 'trial')} that have a value (n = {len(rows)}), each a line through its "
        f"hyperparameters to the best {study.objective_spec.label} over its epochs; colour "
        f"repeats the last axis. Pruned trials had fewer epochs.{apart}{left_out}"
    )


def _alt(rows: Sequence[TrialRow], table: Sequence[Coordinate]) -> str:
    best = rows[-1]
    configuration = ", ".join(
        f"{name} {scientific(value) if isinstance(value, float) else value}" for name, value in best.params.items()
    )
    return (
        f"Parallel coordinates of {counted(len(rows), 'trial')} over {listed([c.name for c in table])}. The best is "
        f"trial {best.number}: {configuration}."
    )
