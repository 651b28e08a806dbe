"""Forest plot of the claims: each difference with its intervals, its seeds and the difference that matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import Verdict
from hw2tune.records.environment import UNITS
from hw2tune.report.claims import ClaimResult, claims
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Mark
from hw2tune.report.figures.style import BLUE, GREY, SKY, ink, line_points, narrow, new_figure, paper, small, text_width
from hw2tune.report.sentences import interval_words, mean_words, repetitions
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import Objective, objective_of, sign_of
from hw2tune.text.numbers import counted, difference, listed

Interval = tuple[float, float]
ROW, LINE, FRAME = 0.45, 0.17, 1.15  # inches: of a claim, of a further line of text, of legend and axis
WIDEST = 3.0  # times the extent of means, seeds and worth: intervals beyond it are cut at the border


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """A claim as drawn, in the unit of the axis. Without a result only `label` and `verdict` are given."""

    label: str
    verdict: str
    decided: bool = False
    numbers: str = ""  # difference, interval and n as text
    mean: float | None = None
    seeds: Mapping[int, float] = field(default_factory=dict)  # by seed, or by the number of the search
    over_seeds: Interval | None = None  # None: nothing bounds the difference yet
    over_images: Interval | None = None  # over seeds and test images
    worth: float | None = None
    unit: str = "seed"  # or search or split: what n counts, and the dots unless they are seeds of a split
    repetitions: str = ""  # n as text
    splits: Sequence[int] = ()  # of the seeds

    @property
    def two_lines(self) -> bool:
        """Return whether the numbers do not fit beside label and verdict."""
        return _beside(self.label, self.verdict) + text_width(self.numbers) > line_points()

    @property
    def height(self) -> float:
        """Inches."""
        return ROW / 2 if self.mean is None else ROW + LINE * self.two_lines


def forest_table(found: Sequence[ClaimResult]) -> list[ForestRow]:
    """One row a claim: differences in the metric's own direction, of shares in points."""
    return [_row(claim, claim.evidence, claim.result) for claim in found]


def _row(claim: ClaimResult, evidence: Evidence | None, result: Verdict | None) -> ForestRow:
    if evidence is None or result is None:
        return ForestRow(label=claim.pair, verdict=claim.words)
    objective = objective_of(evidence.metric)
    scale = objective.scale * sign_of(objective.direction)

    def ends(interval: Interval | None) -> Interval | None:
        return interval and tuple(sorted(scale * end for end in interval))  # type: ignore[return-value]

    mean, interval = mean_words(evidence, result).partition(" ")[0], interval_words(evidence, result)
    split = evidence.unit == "split"
    dots, n = (evidence.pairs, repetitions(evidence)) if split else (evidence, str(result.n))
    numbers = [unit + 1 for unit in dict.fromkeys(evidence.units)] if evidence.unit == "search" else dots.seeds
    return ForestRow(
        label=claim.pair,
        verdict=claim.words,
        decided=result.decided,
        numbers=f"{mean} ({interval or 'no interval yet'}), n = {n}",
        mean=scale * result.mean,
        seeds={seed: scale * float(one) for seed, one in zip(numbers, dots.differences, strict=True)},
        over_seeds=ends(result.seeds_interval),
        over_images=ends(result.two_way),
        worth=None if evidence.worth is None else objective.scale * evidence.worth,
        unit=evidence.unit,
        repetitions=n,
        splits=evidence.units if split else (),
    )


def limits(rows: Sequence[ForestRow]) -> Interval:
    """Return the ends of the axis: means, seeds and worths are inside, intervals as far as they do not dwarf them."""
    core = [0.0]
    for row in rows:
        core += [*row.seeds.values(), *([] if row.mean is None else [row.mean])]
        core += [] if row.worth is None or row.mean is None else [-row.worth, row.worth]
    extent = max(map(abs, core)) or 1.0
    ends = [end for row in rows for one in (row.over_seeds, row.over_images) if one for end in one]
    inside = [end for end in ends if abs(end) <= WIDEST * extent]
    room = 0.06 * (max(core + inside) - min(core + inside) or 1.0)
    return min(core + inside) - room, max(core + inside) + room


def clipped(interval: Interval | None, ends: Interval) -> tuple[Interval, tuple[bool, bool]]:
    """Return the part of an interval that is inside of the axis, and whether it continues to the left and the right."""
    low, high = interval or (-math.inf, math.inf)
    return (max(low, ends[0]), min(high, ends[1])), (low < ends[0], high > ends[1])


def draw_claims(data: StudyData) -> Drawing:
    """Draw all claims of a study. Raises CannotDrawError if none has a result."""
    found = claims(data)
    metrics = [claim.evidence.metric for claim in found if claim.evidence]
    if not metrics:
        raise CannotDrawError("No claim has a result." if found else "The study claims nothing.")
    return draw_forest(forest_table(found), metrics[0])


def draw_forest(rows: Sequence[ForestRow], metric: str) -> Drawing:
    """A row a claim, `y` in inches from the top; `metric` is the objective that is compared on test images."""
    height = sum(row.height for row in rows)
    figure = new_figure(height=FRAME + height)
    axes, ends = figure.subplots(), limits(rows)
    axes.set(xlim=ends, ylim=(height, 0), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    objective = objective_of(metric)
    unit = "points" if objective.unit == "%" else objective.unit
    quantity = f"test {objective.label.removeprefix('validation ')}{f' ({unit})' if unit else ''}"
    axes.set_xlabel(f"difference in {quantity}")
    tops = [0.0, *accumulate(row.height for row in rows)]
    for row, top in zip(rows, tops, strict=False):
        _write_row(axes, row, top)
    marks = [mark for row, top in zip(rows, tops, strict=False) for mark in _draw_row(axes, row, top, ends, objective)]
    figure.legend(handles=_legend(rows), loc="outside upper center", ncols=2 if narrow() else 3, columnspacing=1.4)
    better = "positive" if objective.direction == "maximize" else "negative"
    return Drawing(figure=figure, caption=_caption(rows, ends, better), alt=_alt(rows, quantity), marks=marks)


def _write_row(axes: Axes, row: ForestRow, top: float) -> None:
    across, y = axes.get_yaxis_transform(), top + 0.14
    look: dict[str, Any] = {
        "fontsize": small(),
        "va": "baseline",
        "bbox": {"facecolor": paper(), "edgecolor": "none", "pad": 1.0},
    }
    label = row.label
    while len(label) > 1 and _beside(label, row.verdict) > line_points():
        label = label.removesuffix("…")[:-1] + "…"
    name = axes.text(0, y, label, transform=across, **look)
    axes.annotate(
        row.verdict, (1, y), xycoords=(name, axes.transData), xytext=(7, 0), textcoords="offset points",
        color=ink() if row.mean is not None else GREY, fontweight="bold", **look,
    )  # fmt: skip
    axes.text(1, y + LINE * row.two_lines, row.numbers, transform=across, ha="right", **look)


def _beside(label: str, verdict: str) -> float:
    """Return the points of a label and the verdict next to it."""
    return text_width(label) + 7 + text_width(verdict, bold=True)


def _draw_row(axes: Axes, row: ForestRow, top: float, ends: Interval, objective: Objective) -> list[Mark]:
    if row.mean is None:
        return []
    above, y, below = (top + LINE * row.two_lines + inches for inches in (0.18, 0.25, 0.43))
    axes.plot([0, 0], [above, below], color=ink(), linewidth=0.8, zorder=1)
    if row.worth is not None:
        corner, width = (-row.worth, above), 2 * row.worth
        axes.add_patch(Rectangle(corner, width, below - above, facecolor=SKY, alpha=0.3, zorder=0.5))
    if len(row.seeds) > 1:
        _draw_interval(axes, y, row.over_images, ends, color=GREY, linewidth=5.5, alpha=0.45)
        _draw_interval(axes, y, row.over_seeds, ends, color=ink(), linewidth=1.4)
    face = ink() if row.decided else paper()
    axes.plot(row.mean, y, marker="D", color=ink(), markerfacecolor=face, markersize=6, zorder=4)
    marks = []
    for i, (seed, value) in enumerate(row.seeds.items()):
        level = row.splits[i] - 1 if row.splits else i
        at = y + 0.08 + 0.035 * (level % 3)  # equal values stay apart, seeds of one split in a line
        name = f"split {row.splits[i]}, seed {seed}" if row.splits else f"{row.unit} {seed}"
        axes.plot(value, at, marker="o", color=BLUE, markersize=3.6, markeredgewidth=0, alpha=0.85, zorder=3)
        text = difference(value / objective.scale, objective.name).partition(" ")[0]
        marks.append(Mark(axes, value, at, name, f"{row.label}, {name}: {text}"))
    return marks


def _draw_interval(axes: Axes, y: float, interval: Interval | None, ends: Interval, **look: object) -> None:
    """Draw an interval; one that continues beyond the axis is drawn to the border, with an arrow."""
    (low, high), beyond = clipped(interval, ends)
    axes.plot([low, high], [y, y], solid_capstyle="butt", zorder=2, **look)  # type: ignore[arg-type]
    for end, outside, arrow in zip((low, high), beyond, "<>", strict=True):
        if outside:
            axes.plot(end, y, marker=arrow, color=ink(), markersize=6, clip_on=False, zorder=4)


def _legend(rows: Sequence[ForestRow]) -> list[Line2D | Patch]:
    diamond = {"linestyle": "", "marker": "D", "color": ink(), "markersize": 6}
    unit = next((row.unit for row in rows if row.mean is not None), "seed")
    units, dot = UNITS[unit], "one seed of a split" if unit == "split" else f"one {unit}"
    handles: list[Line2D | Patch] = [
        Line2D([], [], **diamond, label="mean, decided"),  # type: ignore[arg-type]
        Line2D([], [], **diamond | {"markerfacecolor": paper()}, label="mean, not decided"),  # type: ignore[arg-type]
        Line2D([], [], color=ink(), linewidth=1.4, label=f"interval over {units}"),
        Line2D([], [], color=GREY, linewidth=5.5, alpha=0.45, label=f"over {units} and images"),
        Line2D([], [], linestyle="", marker="o", color=BLUE, markersize=3.6, label=dot),
    ]
    if any(row.worth is not None and row.mean is not None for row in rows):
        handles.append(Patch(facecolor=SKY, alpha=0.3, label="too small to matter (±w)"))
    return handles


def _caption(rows: Sequence[ForestRow], ends: Interval, better: str) -> str:
    shown = [row for row in rows if row.mean is not None]
    rows = sorted(shown, key=lambda row: len(row.seeds))
    numbers = dict.fromkeys(row.repetitions or str(len(row.seeds)) for row in rows)
    drawn = [one for row in shown if len(row.seeds) > 1 for one in (row.over_seeds, row.over_images)]
    cut = any(any(clipped(one, ends)[1]) for one in drawn)
    arrow = " An arrow marks an interval that continues beyond the axis." if cut else ""
    return (
        f"Mean difference of each claim over paired {UNITS[shown[0].unit]} (n = {listed([*numbers])}), "
        f"{better} if the first of the pair is better. A verdict needs both intervals, in which the number of claims "
        f"is accounted for.{arrow}"
    )


def _alt(rows: Sequence[ForestRow], quantity: str) -> str:
    texts = [f"{row.label}: {row.verdict}{f', {row.numbers}' if row.numbers else ''}" for row in rows]
    return f"Forest plot of {counted(len(rows), 'claim')}, differences in {quantity}. {'; '.join(texts)}."
