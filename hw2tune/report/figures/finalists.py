"""The specification curve: the change of a claim made in each finalist, and its mean over configurations."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy import special

from hw2tune.inference.statistics import CONFIDENCE, Summary, summarize
from hw2tune.records.finalists import SpecificationCurve
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.style import BLUE, GREY, SMALL, ink, new_figure, paper
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value
from hw2tune.study.objectives import Objective, objective_of
from hw2tune.text.numbers import configuration, counted, difference, listed

ROW, MARGIN = 0.42, 1.15  # inches: of a finalist; of legend, axis and its label
LETTERS = 36  # of a configuration on one of its two lines


@dataclass(frozen=True, kw_only=True)
class Step:
    """The change in one finalist: `differences` on each seed where both sides finished, and their mean."""

    trial: int
    params: dict[str, Value]
    differences: tuple[float, ...]
    mean: float


@dataclass(frozen=True, kw_only=True)
class CurveTable:
    """The steps of a curve, smallest mean first, and their mean over configurations, each with the same weight."""

    steps: list[Step]
    mean: Summary
    diverged: int  # pairs without a difference


def curve_table(curve: SpecificationCurve) -> CurveTable | None:
    """Return the differences, variant less against; None if no finalist has a pair that finished.

    Configurations are random effects with equal weights. The t interval of their means is not narrower than the seeds
    within them allow, as few means may be close by chance (Roever et al., 2015: Hartung and Knapp's, modified).
    """
    steps = []
    for one in curve.specifications:
        pairs = [(a, b) for a, b in zip(one.values, one.against, strict=True) if a is not None and b is not None]
        if found := tuple(a - b for a, b in pairs):
            steps.append(Step(trial=one.trial, params=one.params, differences=found, mean=float(np.mean(found))))
    if not steps:
        return None
    steps.sort(key=lambda step: (step.mean, step.trial))
    pairs_in_all = len(curve.specifications) * len(curve.seeds)
    return CurveTable(
        steps=steps,
        mean=_mean(steps),
        diverged=pairs_in_all - sum(len(step.differences) for step in steps),
    )


def _mean(steps: Sequence[Step]) -> Summary:
    between = summarize([step.mean for step in steps])
    freedom = sum(len(step.differences) - 1 for step in steps)
    if between.sd is None or not freedom:
        return between
    within = sum(float(np.sum((np.array(step.differences) - step.mean) ** 2)) for step in steps) / freedom
    of_means = within * float(np.mean([1 / len(step.differences) for step in steps]))
    error = math.sqrt(max(between.sd**2, of_means) / between.n)
    half = error * float(special.stdtrit(between.n - 1, (1 + CONFIDENCE) / 2))
    return replace(between, low=between.mean - half, high=between.mean + half)


def draw_finalists(data: StudyData, curve: SpecificationCurve) -> Drawing:
    """One row per finalist: a dot per seed and the mean; below, the mean over configurations with its interval."""
    table = curve_table(curve)
    if table is None:
        raise CannotDrawError(
            f"{curve.variant} against {curve.against}: no finalist has a pair of trainings that differ and finished."
        )
    objective = objective_of(curve.objective)
    figure = new_figure(height=MARGIN + ROW * (len(table.steps) + 1))
    axes = figure.subplots()
    _draw_rows(axes, table, objective)
    axes.set_xlabel(f"change of {objective.label} ({'points' if objective.is_share else objective.unit or 'no unit'})")
    handles = [
        Line2D([], [], linestyle="", marker="o", color=GREY, markersize=4, markerfacecolor=paper(), label="one seed"),
        Line2D([], [], linestyle="", marker="o", color=BLUE, markersize=6.5, label="mean of a finalist"),
        Line2D([], [], marker="D", color=ink(), markersize=6.5, label="mean over configurations, 95 %"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1.4)
    return Drawing(figure=figure, caption=_caption(curve, table), alt=_alt(curve, table))


def _draw_rows(axes: Axes, table: CurveTable, objective: Objective) -> None:
    scale, places = objective.scale, range(1, len(table.steps) + 1)
    axes.axvline(0, color=GREY, linewidth=0.8)
    for place, step in zip(places, table.steps, strict=True):
        xs = [scale * one for one in step.differences]
        axes.plot(xs, [place] * len(xs), "o", color=GREY, markersize=4, markerfacecolor=paper())
        axes.plot(scale * step.mean, place, "o", color=BLUE, markersize=6.5)
    mean = table.mean
    if mean.low is not None and mean.high is not None:
        axes.plot([scale * mean.low, scale * mean.high], [0, 0], color=ink(), linewidth=2)
    axes.plot(scale * mean.mean, 0, "D", color=ink(), markersize=6.5)
    axes.axhline(0.5, color=GREY, linewidth=0.6)
    fitting = partial(textwrap.fill, width=LETTERS, max_lines=2, placeholder=" …")
    labels = [fitting(f"#{step.trial}: {configuration(step.params)}") for step in table.steps]
    axes.set_yticks([0, *places], ["mean", *labels], fontsize=SMALL)
    axes.set_ylim(-0.6, len(table.steps) + 0.6)
    axes.grid(visible=False, axis="y")


def _caption(curve: SpecificationCurve, table: CurveTable) -> str:
    finalists, seeds = counted(len(table.steps), "finalist"), counted(len(curve.seeds), "fresh seed")
    mean, name = table.mean, curve.objective
    interval = ""
    if mean.low is not None and mean.high is not None:
        low, high = (difference(bound, name) for bound in (mean.low, mean.high))
        interval = f" (95 % interval over configurations {low} to {high})"
    text = (
        f"{curve.variant} less {curve.against} on validation images, with the claim's values put into {finalists} of "
        f"the search, on {seeds} common to all. The mean over configurations, taken as random effects with equal "
        f"weights, is {difference(mean.mean, name)}{interval}."
    )
    if curve.unchanged:
        trials = listed([f"#{number}" for number in curve.unchanged])
        text += f" In {trials} the claim's values are the trial's own: nothing changes."
    if table.diverged:
        text += f" {counted(table.diverged, 'pair')} diverged and {'is' if table.diverged == 1 else 'are'} omitted."
    return text + (
        " Finalists were tuned with their own values and chosen on these images: this is a check that the change "
        "does not depend on one configuration, not a comparison of two tuned sides."
    )


def _alt(curve: SpecificationCurve, table: CurveTable) -> str:
    positive = sum(step.mean > 0 for step in table.steps)
    return (
        f"Dots per finalist: {curve.variant} less {curve.against} is above zero in {positive} of {len(table.steps)}, "
        f"on average {difference(table.mean.mean, curve.objective)}."
    )
