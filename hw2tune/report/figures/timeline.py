"""Times of the trials, by worker process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, PRUNED
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.style import GREY, new_figure, paper, state_look
from hw2tune.report.study_data import StudyData
from hw2tune.text.numbers import counted, listed

LONGEST_GAP = 60.0  # seconds without any training, at least: then a study stood still, and the gap is cut
SHARE_OF_GAP = 0.2  # and at least this share of the time that was trained
HATCHES = {COMPLETE: "", PRUNED: "////"}
OTHER_HATCH = "xxxx"
MOST_HEIGHT = 9.0  # inches


class Bar(NamedTuple):
    """A trial in one worker. Seconds since the first epoch began, standstills cut."""

    trial: int
    state: str
    worker: str
    start: float
    end: float


def trial_bars(row: TrialRow, epochs: Iterable[dict[str, Any]]) -> list[Bar]:
    """One bar for each worker that trained the trial, in Unix seconds. Epochs without a time are omitted.

    Tune's `timestamp` is the end of an epoch in whole seconds: a bar may be off by one.
    """
    bars: dict[str, Bar] = {}
    for epoch in epochs:
        end, length = _seconds(epoch.get("timestamp")), _seconds(epoch.get("epoch_seconds")) or 0.0
        if end is None:
            continue
        worker, start = f"{epoch.get('hostname', '?')}, process {epoch.get('pid', '?')}", end - length
        known = bars.get(worker, Bar(row.number, row.state, worker, start, end))
        bars[worker] = known._replace(start=min(known.start, start), end=max(known.end, end))
    return list(bars.values())


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def timeline_table(bars: Sequence[Bar]) -> tuple[list[Bar], list[float]]:
    """The bars from second 0 on, workers apart, without standstills; and where these were cut out."""
    ordered = _without_overlap(sorted(bars, key=lambda bar: (bar.start, bar.trial)))
    cuts = _cuts(ordered)
    origin = ordered[0].start

    def moved(time: float) -> float:
        return time - origin - sum(length for at, length in cuts if time >= at + length)

    table = [bar._replace(start=moved(bar.start), end=moved(bar.end)) for bar in ordered]
    return table, [moved(at + length) for at, length in cuts]


def _without_overlap(bars: Sequence[Bar]) -> list[Bar]:
    """A worker trains one trial at a time: bars that overlap by the whole seconds move on, and keep their length."""
    free: dict[str, float] = {}
    apart = []
    for bar in bars:
        start = max(bar.start, free.get(bar.worker, bar.start))
        apart.append(bar._replace(start=start, end=start + bar.end - bar.start))
        free[bar.worker] = apart[-1].end
    return sorted(apart, key=lambda bar: (bar.start, bar.trial))


def _cuts(bars: Sequence[Bar]) -> list[tuple[float, float]]:
    """Long standstills of all workers: (from, seconds)."""
    gaps, busy, end = [], 0.0, bars[0].start
    for bar in bars:
        if bar.start > end:
            gaps.append((end, bar.start - end))
        busy += max(0.0, bar.end - max(end, bar.start))
        end = max(end, bar.end)
    return [(at, length) for at, length in gaps if length > max(LONGEST_GAP, SHARE_OF_GAP * busy)]


def draw_timeline(data: StudyData) -> Drawing:
    """A row a worker, a bar a trial."""
    overview = data.overview
    bars = [bar for row in overview.rows for bar in trial_bars(row, read_epochs(overview.folder.trial(row.number)))]
    if not bars:
        started = "No epoch of a trial was recorded with its time."
        raise CannotDrawError(started if overview.rows else "No trial of this study has started yet.")
    table, cuts = timeline_table(bars)
    workers = list(dict.fromkeys(bar.worker for bar in table))
    end = max(bar.end for bar in table)
    unit, seconds = ("h", 3600.0) if end > 3 * 3600 else ("min", 60.0) if end > 3 * 60 else ("s", 1.0)
    figure = new_figure(height=min(MOST_HEIGHT, 1.5 + 0.5 * len(workers)))
    axes = figure.subplots()
    span = end / seconds or 1.0
    for bar in table:
        _draw_bar(axes, bar, workers.index(bar.worker), seconds, span)
    for cut in cuts:
        axes.axvline(cut / seconds, color=GREY, linestyle=":", linewidth=1.5)
    axes.set_yticks(range(len(workers)), [worker.replace(", ", "\n") for worker in workers])
    axes.set_ylim(len(workers) - 0.4, -0.6)
    axes.set_xlim(0, 1.01 * span)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"time since the first epoch began ({unit})")
    patches = [Patch(label=state, **_fill(state)) for state in dict.fromkeys(bar.state for bar in table)]
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches))
    trials = counted(len({bar.trial for bar in table}), "trial")
    processes = "1 worker process" if len(workers) == 1 else f"{len(workers)} worker processes"
    return Drawing(
        figure=figure,
        caption=f"When each of {trials} trained, in {processes}; the numbers are trials. {_notes(data, table, cuts)}",
        alt=f"Timeline of {trials} in {processes} over {end:.0f} seconds.",
    )


def _draw_bar(axes: Axes, bar: Bar, row: int, seconds: float, span: float) -> None:
    start, length = bar.start / seconds, (bar.end - bar.start) / seconds
    edge = 0.8 if length > 0.01 * span else 0.0  # an edge would hide a short bar
    axes.barh(row, length, left=start, height=0.62, linewidth=edge, **_fill(bar.state))
    if length > 0.012 * span * (len(str(bar.trial)) + 0.8):
        axes.text(
            start + length / 2, row, str(bar.trial), ha="center", va="center", fontsize=8,
            bbox={"facecolor": paper(), "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )  # fmt: skip


def _fill(state: str) -> dict[str, Any]:
    return {"facecolor": state_look(state).colour, "hatch": HATCHES.get(state, OTHER_HATCH), "edgecolor": paper()}


def _notes(data: StudyData, table: Sequence[Bar], cuts: Sequence[float]) -> str:
    shown = {bar.trial for bar in table}
    unseen = [row.number for row in data.overview.rows if row.number not in shown]
    return (
        "A bar spans its epochs as Ray Tune noted them, in whole seconds; what lies between bars is starting up, "
        "deciding and saving."
        + (" Dotted lines mark where the study stood still; that time is cut out." if cuts else "")
        + (f" No epoch was finished by {'trial' if len(unseen) == 1 else 'trials'} {listed(unseen)}." if unseen else "")
    )
