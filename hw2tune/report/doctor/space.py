"""Findings on the search space: best trials at an edge, dead zones, failing corners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scipy import stats

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import PRUNED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import ANEW, Finding
from hw2tune.report.doctor.zones import Zone, drawn, failed_by_itself, failing_corners, how_failed, worst_zone
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import HYPERPARAMETERS, Value, is_number
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval
from hw2tune.text.numbers import DASH, counted, scientific
from hw2tune.text.plain import value_text


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An end of a hyperparameter's range: `share` of the range is at it, up to `end`."""

    name: str
    upper: bool
    end: Value
    share: float

    def contains(self, space: Interval | Choice, value: Value | None) -> bool:
        """Return whether a trial's value is at this edge."""
        if value is None or isinstance(space, Choice) or value == 0:  # exactly 0 is a case of its own
            return value is not None and value == self.end
        at = space.position(value)
        return at >= 1 - self.share - 1e-9 if self.upper else at <= self.share + 1e-9


def edges(study: Study) -> Iterator[Edge]:
    """Yield the ends of the ranges that can be widened."""
    for name, one in study.space.items():
        if isinstance(one, Interval):
            if one.low == one.high:
                continue
            cell = one.step / 2 if one.integer else 0.0
            if not one.or_zero and one.low != 0 and _can_be(name, one.low * 0.9):
                yield Edge(name=name, upper=False, end=one.extremes()[0], share=_share(one.position(one.low + cell)))
            if _can_be(name, one.high + (one.high - one.low) * 0.01):
                share = _share(1 - one.position(one.high - cell))
                yield Edge(name=name, upper=True, end=one.extremes()[1], share=share)
        elif len(one.choices) > 1 and all(map(is_number, one.choices)):
            ordered = sorted(one.choices, key=float)
            yield Edge(name=name, upper=False, end=ordered[0], share=1 / len(ordered))
            yield Edge(name=name, upper=True, end=ordered[-1], share=1 / len(ordered))


def _share(cell: float) -> float:
    return max(limit.EDGE, cell)


def _can_be(name: str, value: float) -> bool:
    """Return whether a range of the hyperparameter may reach a value, but for whole numbers."""
    spec = HYPERPARAMETERS.get(name)
    return spec is None or spec.kind == "integer" or spec.holds(value)


def at_edges(data: StudyData) -> Iterator[Finding]:
    """Yield the edges of the space at which the best trials are."""
    study = data.overview.study
    ranked = best_first(drawn(data.overview), study.direction)
    best = ranked[: limit.BEST]
    if len(ranked) < limit.FEWEST_TRIALS:
        return
    for edge in edges(study):
        space = study.space[edge.name]
        there = sum(edge.contains(space, row.params.get(edge.name)) for row in best)
        if there < limit.AT_EDGE or stats.binom.sf(there - 1, len(best), edge.share) > limit.FALSE_EDGE:
            continue
        end = value_text(edge.end, scientific)
        side, key = ("upper", "high") if edge.upper else ("lower", "low")
        change = (
            f"add a {'larger' if edge.upper else 'smaller'} choice" if isinstance(space, Choice) else f"move `{key}`"
        )
        yield Finding(
            check="edge",
            hyperparameter=edge.name,
            finding=f"{edge.name}: {there} of the best {len(best)} trials are at the {side} edge {end}.",
            evidence=f"The edge is {_part(space, edge)}; {counted(len(ranked), 'drawn trial')} have a value.",
            remedy=f"Widen it: {change} beyond {end} in [space], and {ANEW}.",
        )


def _part(space: Interval | Choice, edge: Edge) -> str:
    if isinstance(space, Choice):
        return f"one of {len(space.choices)} choices"
    return f"{100 * edge.share:.0f} % of the range in the search's own scale"


def chance_level(data: StudyData) -> float | None:
    """Return the largest share of right answers that still is chance; None if it is not known."""
    record, study = data.dataset, data.overview.study
    images = record.sizes.get("validation", 0) if record else 0
    if record is None or not images or not study.objective_spec.is_share or len(record.classes) < 2:
        return None
    chance = 1 / len(record.classes)
    return chance + limit.CHANCE_ERRORS * math.sqrt(chance * (1 - chance) / images)


def bad_zones(data: StudyData) -> Iterator[Finding]:
    """Yield the part of the space in which trials fail, and the one in which they do not get beyond chance."""
    rows = drawn(data.overview)
    if data.overview.all_failed:
        every, last = data.overview.finished, data.overview.finished[-1]
        yield Finding(
            check="failures",
            finding="Every trial failed.",
            evidence=f"{counted(len(every), 'trial')}, the last one {last.state}: {last.reason or DASH}.",
            remedy=f"Correct the cause, and {ANEW}.",
        )
        return
    for corner in failing_corners(data.overview):
        inside, failed = len(corner.rows), sum(map(failed_by_itself, corner.rows))
        which = "Every trial" if failed == inside else f"{failed} of {inside} trials"
        text = f"{which} with {corner.condition} {how_failed(corner.rows)}."
        yield _finding(data.overview.study, corner, rows, failed_by_itself, "failing corner", text)
    rows, level = [row for row in rows if not failed_by_itself(row)], chance_level(data)
    if level is not None:

        def dead(row: TrialRow) -> bool:
            return row.value is not None and row.value <= level

        if len(rows) >= limit.FEWEST_IN_ZONE and all(map(dead, rows)):
            yield Finding(
                check="dead zone",
                finding=f"No drawn trial got beyond chance ({100 * level:.1f} %).",
                evidence=f"{counted(len(rows), 'drawn trial')}.",
                remedy=f"Check the labels of the images, move the ranges in [space], and {ANEW}.",
            )
        elif zone := worst_zone(data.overview, rows, dead, limit.DEAD_SHARE * len(rows)):
            text = f"No trial with {zone.condition} got beyond chance ({100 * level:.1f} %)."
            yield _finding(data.overview.study, zone, rows, dead, "dead zone", text)


def _finding(
    study: Study, zone: Zone, rows: Sequence[TrialRow], bad: Callable[[TrialRow], bool], check: str, text: str
) -> Finding:
    inside, failed, stopped = len(zone.rows), sum(map(bad, rows)), sum(row.state == PRUNED for row in zone.rows)
    there = sum(map(bad, zone.rows))
    epochs = sum(row.epochs_spent for row in zone.rows) / max(1, sum(row.epochs_spent for row in rows))
    way_out = "Leave this choice out"
    if zone.name in study.space and not isinstance(study.space[zone.name], Choice):
        way_out = f"Narrow the range of {zone.name}" + (f", or leave {zone.choice} out" if zone.choice else "")
    return Finding(
        check=check,
        hyperparameter=zone.name,
        finding=text,
        evidence=(
            f"Inside {there} of {counted(inside, 'drawn trial')}"
            f"{f' ({stopped} stopped early)' if stopped else ''}, outside {failed - there} of {len(rows) - inside}; "
            f"the zone took {100 * epochs:.0f} % of the epochs."
        ),
        remedy=f"{way_out} in [space], and {ANEW}.",
    )
