"""Two objectives against each other: the trials that no other one beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.labels import objective_axis
from hw2tune.report.figures.style import BLUE, GREY, legend_above, looks_of, marker, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import PARAMETERS, sign_of
from hw2tune.text.numbers import counted, listed, measured


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """A complete trial: its value, what shall be small besides, and whether no other trial beats it in both."""

    number: int
    label: str
    value: float
    second: float
    on_front: bool


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
        ParetoPoint(number=row.number, label=row.label, value=value, second=second, on_front=not beaten(value, second))
        for row, value, second in points
    ]
    return sorted(table, key=lambda point: (point.second, point.number))


def draw_pareto(data: StudyData) -> Drawing:
    """The second objective to the right, the value upwards; the front as a line of steps."""
    overview = data.overview
    study = overview.study
    seconds = {row.number: row.seconds for row in overview.rows}
    table = pareto_table(
        overview.rows, data.parameters if study.second_objective == PARAMETERS else seconds, study.direction
    )
    if len(table) < 2:
        raise CannotDrawError(f"{counted(len(table), 'trial')} came to the end: a front needs two.")
    front = [point for point in table if point.on_front]
    label, scale = objective_axis(study)
    what = "parameters" if study.second_objective == PARAMETERS else "training time (s)"
    figure = new_figure(height=4.2)
    axes = figure.subplots()
    axes.plot([p.second for p in table], [scale * p.value for p in table], "o", color=GREY, markersize=5)
    axes.step([p.second for p in front], [scale * p.value for p in front], "o-", where="post", color=BLUE, markersize=7)
    looks = looks_of(study)
    for point in table:
        if point.label in looks:
            look = looks[point.label]
            axes.plot(
                point.second, scale * point.value, look.marker, color=look.colour, markerfacecolor="none", markersize=12
            )
    axes.set_xlabel(what)
    axes.set_ylabel(f"best {label} of the trial")
    handles = [marker(looks[p.label], f"reference: {p.label}", filled=False) for p in table if p.label in looks]
    if handles:
        legend_above(figure, handles, columns=3)
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


def recipes(data: StudyData) -> list[Recipe]:
    """One figure where a study has a second objective."""
    if data.overview.study.second_objective is None:
        return []
    return [Recipe(name="pareto-front", section="search", title="Two objectives", draw=draw_pareto)]
