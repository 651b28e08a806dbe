"""The search, trial by trial, and by two objectives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, RANKED
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.style import BLUE, GREY, Look, ink, legend, looks_of, marker, new_figure, paper, state_look
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import PARAMETERS, sign_of
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, listed, measured


class HistoryPoint(NamedTuple):
    """One trial. `value` is its best over the epochs, None where it has none; `best` the best one so far."""

    number: int
    label: str
    state: str
    value: float | None
    best: float | None


class ParetoPoint(NamedTuple):
    """A complete trial: its value, what shall be small besides, and whether no other trial beats it in both."""

    number: int
    label: str
    value: float
    second: float
    on_front: bool


def has_value(row: TrialRow) -> bool:
    """Return whether a trial's value counts in the search."""
    return row.state in RANKED and row.value is not None and math.isfinite(row.value)


def no_value_sentence(data: StudyData) -> str:
    """Reason why nothing of the search can be drawn."""
    finished = data.overview.finished
    if not finished:
        return "No trial of this study has finished yet."
    return f"None of the {counted(len(finished), 'finished trial')} has a value."


def history_table(rows: Iterable[TrialRow], direction: str) -> list[HistoryPoint]:
    """The trials by number. A diverged trial has no value, even where its first epochs had one."""
    best, table = None, []
    for row in sorted(rows, key=lambda row: row.number):
        value = row.value if has_value(row) else None
        if value is not None:
            best = value if best is None else max(best, value, key=lambda one: sign_of(direction) * one)
        table.append(HistoryPoint(row.number, row.label, row.state, value, best))
    return table


def draw_history(data: StudyData) -> Drawing:
    """Trials by number against their value, with the best so far."""
    study = data.overview.study
    table = history_table(data.overview.finished, study.direction)
    if not any(point.value is not None for point in table):
        raise CannotDrawError(no_value_sentence(data))
    objective = study.objective_spec
    figure = new_figure(height=4.3)
    axes = figure.subplots()
    line = [(p.number, objective.scale * p.best) for p in table if p.best is not None]
    axes.step(*zip(*line, strict=True), where="post", color=ink(), linewidth=1.3)
    handles = [Line2D([], [], color=ink(), linewidth=1.3, label="best so far")]
    for state in dict.fromkeys(point.state for point in table):
        points = [point for point in table if point.state == state]
        _draw_state(axes, points, state_look(state), objective.scale)
        without = "" if any(point.value is not None for point in points) else " (no value)"
        handles.append(marker(state_look(state), state + without))
    places = [(p.label, p.number, objective.scale * p.value) for p in table if p.value is not None]
    axes.set(xlabel="trial number", ylabel=f"best {objective.axis} of the trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend(figure, handles + ring_references(axes, places, study), columns=3)
    best = table[-1].best
    assert best is not None  # one has a value
    first = next(point for point in table if point.best == best)
    return Drawing(
        figure=figure,
        caption=_history_caption(data, table),
        alt=(
            f"Scatter of {counted(len(table), 'trial')} by number. The best value, {measured(best, study.objective)}, "
            f"came with trial {first.number}."
        ),
    )


def _draw_state(axes: Axes, points: Sequence[HistoryPoint], look: Look, scale: float) -> None:
    """Points of one state; those without a value on the lower edge."""
    valued = [(p.number, scale * p.value) for p in points if p.value is not None]
    if valued:
        xs, ys = zip(*valued, strict=True)
        axes.plot(xs, ys, look.marker, color=look.colour, markersize=6, markeredgecolor=paper(), zorder=3)
    without = [p.number for p in points if p.value is None]
    bottom = [0.02] * len(without)  # of the panel's height
    axes.plot(
        without, bottom, look.marker, color=look.colour, markersize=8, transform=axes.get_xaxis_transform(), zorder=3,
        markeredgecolor=paper(), clip_on=False,
    )  # fmt: skip


def ring_references(axes: Axes, places: Iterable[tuple[str, float, float]], study: Study) -> list[Line2D]:
    """Draw a ring round each reference's trial, of labels and places; return their entries of the legend."""
    looks, entries = looks_of(study), []
    for label, x, y in places:
        if label in looks:
            axes.add_line(_ring(looks[label], label, 13, [x], [y]))
            entries.append(_ring(looks[label], label, 8))
    return entries


def _ring(look: Look, label: str, size: float, xs: Sequence[float] = (), ys: Sequence[float] = ()) -> Line2D:
    return Line2D(
        xs, ys, linestyle="", marker=look.marker, markersize=size, markerfacecolor="none",
        markeredgecolor=look.colour, markeredgewidth=1.6, zorder=4, label=f"reference: {label}",
    )  # fmt: skip


def _history_caption(data: StudyData, table: Sequence[HistoryPoint]) -> str:
    study = data.overview.study
    states = Counter(point.state for point in table)
    without = any(p.value is None for p in table)
    return (
        f"The search on {data.label}, n = {len(table)} finished trials "
        f"({listed([f'{n} {state}' for state, n in states.items()])}), one network "
        f"each: the best {study.objective_spec.label} over the epochs that a trial had; pruned trials had "
        f"fewer. The line is the best so far.{' Rings mark the references.' if study.references else ''}"
        f"{' Trials without a value lie on the lower edge.' if without else ''} The best of many "
        "noisy values is too good: see the replicates for what stands."
    )


def pareto_table(rows: Sequence[TrialRow], seconds: Mapping[int, float], direction: str) -> list[ParetoPoint]:
    """`seconds` holds the second objective by trial; by its size, smallest first."""
    sign = sign_of(direction)
    known = [(row, row.value, seconds[row.number]) for row in rows if row.state == COMPLETE and row.number in seconds]
    points = [(row, value, second) for row, value, second in known if value is not None]

    def beaten(value: float, second: float) -> bool:
        return any(
            sign * other >= sign * value and small <= second and (other, small) != (value, second)
            for _, other, small in points
        )

    table = [
        ParetoPoint(row.number, row.label, value, second, on_front=not beaten(value, second))
        for row, value, second in points
    ]
    return sorted(table, key=lambda point: (point.second, point.number))


def draw_pareto(data: StudyData) -> Drawing:
    """The second objective to the right, the value upwards; the front as a line of steps."""
    rows, study = data.overview.rows, data.overview.study
    by_parameters = study.second_objective == PARAMETERS
    second = data.parameters if by_parameters else {row.number: row.seconds for row in rows}
    table = pareto_table(rows, second, study.direction)
    if len(table) < 2:
        raise CannotDrawError(f"{counted(len(table), 'trial')} came to the end: a front needs two.")
    front = [point for point in table if point.on_front]
    objective, looks = study.objective_spec, looks_of(study)
    scale, what = objective.scale, "parameters" if by_parameters else "training time (s)"
    figure = new_figure(height=4.2)
    axes = figure.subplots()
    axes.plot([p.second for p in table], [scale * p.value for p in table], "o", color=GREY, markersize=5)
    axes.step([p.second for p in front], [scale * p.value for p in front], "o-", where="post", color=BLUE, markersize=7)
    references = [point for point in table if point.label in looks]
    for p in references:
        mark, colour = looks[p.label].marker, looks[p.label].colour
        axes.plot(p.second, scale * p.value, mark, color=colour, markerfacecolor="none", markersize=12)
    axes.set(xlabel=what, ylabel=f"best {objective.axis} of the trial")
    if references:
        handles = [marker(looks[p.label], f"reference: {p.label}", filled=False) for p in references]
        legend(figure, handles, columns=3)
    ends = listed([f"#{p.number} ({measured(p.value, study.objective)} at {p.second:,.4g})" for p in front])
    return Drawing(
        figure=figure,
        caption=(
            f"The {counted(len(table), 'complete trial')} of the search by {what} and value, one network each. On the "
            f"blue front are those that no other trial beats in both: {ends}. Stopped trials are not shown: what they "
            "would have taken is not known."
        ),
        alt=f"Scatter of {len(table)} trials with a front of {len(front)}: {ends}.",
    )
