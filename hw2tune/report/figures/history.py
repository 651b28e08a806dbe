"""The search, trial by trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import RANKED
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.labels import objective_axis
from hw2tune.report.figures.style import STATE_LOOKS, Look, ink, legend_above, looks_of, marker, new_figure, paper
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import sign_of
from hw2tune.text.numbers import counted, listed, measured


@dataclass(frozen=True, kw_only=True)
class HistoryPoint:
    """One trial. `value` is its best over the epochs, None where it has none; `best` the best one so far."""

    number: int
    label: str
    state: str
    value: float | None
    best: float | None


def has_value(row: TrialRow) -> bool:
    """Whether a trial's value counts in the search."""
    return row.state in RANKED and row.value is not None and math.isfinite(row.value)


def history_table(rows: Iterable[TrialRow], direction: str) -> list[HistoryPoint]:
    """The trials by number. A diverged trial has no value, even where its first epochs had one."""
    best, table = None, []
    for row in sorted(rows, key=lambda row: row.number):
        value = row.value if has_value(row) else None
        if value is not None:
            best = value if best is None else max(best, value, key=lambda one: sign_of(direction) * one)
        table.append(HistoryPoint(number=row.number, label=row.label, state=row.state, value=value, best=best))
    return table


def draw_history(data: StudyData) -> Drawing:
    """Trials by number against their value, with the best so far."""
    overview = data.overview
    table = history_table(overview.finished, overview.study.direction)
    if not any(point.value is not None for point in table):
        raise CannotDrawError(no_value_sentence(data))
    label, scale = objective_axis(overview.study)
    figure = new_figure(height=4.3)
    axes = figure.subplots()
    line = [(p.number, scale * p.best) for p in table if p.best is not None]
    axes.step(*zip(*line, strict=True), where="post", color=ink(), linewidth=1.3)
    for state in dict.fromkeys(point.state for point in table):
        _draw_state(axes, [point for point in table if point.state == state], state, scale)
    looks = looks_of(overview.study)
    _ring_references(axes, table, scale, looks)
    axes.set_xlabel("trial number")
    axes.set_ylabel(f"best {label} of the trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(figure, _legend(table, looks), columns=3)
    return Drawing(figure=figure, caption=_caption(data, table), alt=_alt(data, table))


def _draw_state(axes: Axes, points: Sequence[HistoryPoint], state: str, scale: float) -> None:
    look = STATE_LOOKS.get(state, STATE_LOOKS["failed"])
    valued = [(p.number, scale * p.value) for p in points if p.value is not None]
    if valued:
        axes.plot(
            *zip(*valued, strict=True), look.marker, color=look.colour, markersize=6, markeredgecolor=paper(), zorder=3
        )
    without = [p.number for p in points if p.value is None]
    bottom = [0.02] * len(without)  # of the panel's height
    axes.plot(
        without, bottom, look.marker, color=look.colour, markersize=8, transform=axes.get_xaxis_transform(), zorder=3,
        markeredgecolor=paper(), clip_on=False,
    )  # fmt: skip


def _ring_references(axes: Axes, table: list[HistoryPoint], scale: float, looks: Mapping[str, Look]) -> None:
    for point in table:
        if point.label in looks and point.value is not None:
            axes.add_line(reference_ring(looks[point.label], point.label, point.number, scale * point.value))


def reference_ring(look: Look, label: str, *at: float) -> Line2D:
    """A ring round a reference's trial; without a place, as the legend shows it."""
    return Line2D(
        at[:1], at[1:], linestyle="", marker=look.marker, markersize=13 if at else 8, markerfacecolor="none",
        markeredgecolor=look.colour,        markeredgewidth=1.6, zorder=4, label=f"reference: {label}",
    )  # fmt: skip


def _legend(table: list[HistoryPoint], looks: Mapping[str, Look]) -> list[Line2D]:
    states = dict.fromkeys(point.state for point in table)
    labels = [p.label for p in table if p.label in looks and p.value is not None]
    return [
        Line2D([], [], color=ink(), linewidth=1.3, label="best so far"),
        *(marker(STATE_LOOKS.get(state, STATE_LOOKS["failed"]), state_words(table, state)) for state in states),
        *(reference_ring(looks[label], label) for label in labels),
    ]


def state_words(table: Sequence[HistoryPoint], state: str) -> str:
    """A state as the legend names it; one without values lies at the bottom."""
    without = all(point.value is None for point in table if point.state == state)
    return f"{state} (no value)" if without else state


def no_value_sentence(data: StudyData) -> str:
    """Why nothing of the search can be drawn."""
    finished = data.overview.finished
    if not finished:
        return "No trial of this study has finished yet."
    return f"None of the {counted(len(finished), 'finished trial')} has a value."


def _caption(data: StudyData, table: list[HistoryPoint]) -> str:
    study = data.overview.study
    how_many = [f"{sum(p.state == state for p in table)} {state}" for state in dict.fromkeys(p.state for p in table)]
    without = any(p.value is None for p in table)
    return (
        f"The search on {data.label}, n = {len(table)} finished trials ({listed(how_many)}), one network "
        f"each: the best {study.objective_spec.label} over the epochs that a trial had; pruned trials had "
        f"fewer. The line is the best so far.{' Rings mark the references.' if study.references else ''}"
        f"{' Trials without a value lie on the lower edge.' if without else ''} The best of many "
        "noisy values is too good: see the replicates for what stands."
    )


def _alt(data: StudyData, table: list[HistoryPoint]) -> str:
    study = data.overview.study
    best = table[-1].best
    assert best is not None  # the figure is not drawn else
    first = next(p for p in table if p.best == best)
    return (
        f"Scatter of {counted(len(table), 'trial')} by number. The best value, {measured(best, study.objective)}, "
        f"came with trial {first.number}."
    )


RECIPES = [Recipe(name="search-history", section="search", title="The search, trial by trial", draw=draw_history)]
