"""Findings on the search space: best trials at an edge, dead zones, diverging corners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scipy import stats

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import FAILED_BY_ITSELF, PRUNED, RANKED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import ANEW, Finding
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import HYPERPARAMETERS, Value, is_number
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval
from hw2tune.text.numbers import DASH, counted, scientific
from hw2tune.text.plain import value_text


def drawn(data: StudyData) -> list[TrialRow]:
    """Return the trials that say something about the space: finished, and no reference."""
    rows = data.overview.rows
    return [row for row in rows if not row.label and (row.state in RANKED or row.state in FAILED_BY_ITSELF)]


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
    ranked = best_first(drawn(data), study.direction)
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


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A part of the space by its condition, and its trials: a choice's, or those at one end of a range or at both."""

    condition: str
    name: str
    parts: Sequence[Sequence[TrialRow]]
    choice: str = ""  # within which it is an end of a range

    @property
    def rows(self) -> list[TrialRow]:
        """The trials of all parts."""
        return [row for part in self.parts for row in part]


def zones(study: Study, rows: Sequence[TrialRow], bad: Callable[[TrialRow], bool]) -> Iterator[Zone]:
    """Yield the parts of the space that are tried: the ends of every range as far as all is bad, and every choice.

    Within a choice that has trials enough, the ends are tried again.
    """
    yield from _ends(study, rows, bad, "")
    for name, one in study.space.items():
        for choice in one.choices if isinstance(one, Choice) else []:
            there = [row for row in rows if row.params.get(name) == choice]
            condition = f"{name} = {value_text(choice, scientific)}"
            yield Zone(condition=condition, name=name, parts=[there if all(map(bad, there)) else []])
            if len(there) >= limit.FEWEST_TRIALS:
                yield from _ends(study, there, bad, condition)


def _ends(study: Study, rows: Sequence[TrialRow], bad: Callable[[TrialRow], bool], choice: str) -> Iterator[Zone]:
    """Yield the lower end of every range, the upper one, and both as one zone."""
    for name, one in study.space.items():
        if isinstance(one, Choice):
            continue
        ordered = sorted((row for row in rows if name in row.params), key=lambda row: float(row.params[name]))
        parts, texts = [], []
        for sign, side in (("<=", ordered), (">=", ordered[::-1])):
            good = next((at for at, row in enumerate(side) if not bad(row)), len(side))
            first = side[good].params[name] if good < len(side) else None
            zone = [row for row in side[:good] if row.params[name] != first]  # its value is in no zone
            parts.append(zone)
            texts.append(f"{sign} {_bound(zone[-1].params[name], first, sign) if zone else ''}")
        both = parts if not all(map(bad, ordered)) else [[]]  # the ends of a range that is bad throughout overlap
        for text, found in ((texts[0], parts[:1]), (texts[1], parts[1:]), (" or ".join(texts), both)):
            condition = f"{choice} and {name} {text}" if choice else f"{name} {text}"
            yield Zone(condition=condition, name=name, parts=found, choice=choice)


def _bound(last: Value, beyond: Value | None, sign: str) -> str:
    """Return the last value of a zone in as few digits as leave it inside, and the first good trial's outside."""
    side = 1 if sign == "<=" else -1
    texts = [value_text(last, scientific), *(f"{float(last):.{digits}g}" for digits in range(3, 17))]
    ends = [side * float(last), math.inf if beyond is None else side * float(beyond)]
    return next((text for text in texts if ends[0] <= side * float(text) < ends[1]), str(last))


def worst_zone(data: StudyData, rows: Sequence[TrialRow], bad: Callable[[TrialRow], bool], share: float) -> Zone | None:
    """Return the largest part of the space in which all is bad, beyond chance; None without one of that share.

    No zone reaches beyond a trial that got somewhere, references included. Of two ends each must be beyond chance.
    """
    numbers = {row.number for row in rows}
    every = [row for row in data.overview.rows if row.number in numbers or (row.value is not None and not bad(row))]
    tried, failed = list(zones(data.overview.study, every, bad)), sum(map(bad, rows))

    def chance(zone: Zone) -> float:
        """Return Fisher's probability that so many of the bad trials are all of a part's, without the other part."""
        pairs = [(k, len(zone.rows) - k) for k in map(len, zone.parts)]
        return max(math.comb(failed - other, k) / math.comb(len(rows) - other, k) for k, other in pairs)

    found = [
        zone
        for zone in tried
        if min(map(len, zone.parts)) >= limit.FEWEST_IN_ZONE
        and len(zone.rows) >= share * len(rows)
        and chance(zone) * len(tried) < limit.FALSE_ZONE
    ]
    return max(found, key=lambda zone: len(zone.rows), default=None)


def chance_level(data: StudyData) -> float | None:
    """Return the largest share of right answers that still is chance; None if it is not known."""
    record, study = data.dataset, data.overview.study
    images = record.sizes.get("validation", 0) if record else 0
    if record is None or not images or not study.objective_spec.is_share or len(record.classes) < 2:
        return None
    chance = 1 / len(record.classes)
    return chance + limit.CHANCE_ERRORS * math.sqrt(chance * (1 - chance) / images)


def bad_zones(data: StudyData) -> Iterator[Finding]:
    """Yield the part of the space in which trials diverge, and the one in which they do not get beyond chance."""
    rows = drawn(data)
    if data.overview.all_failed:
        every, last = data.overview.finished, data.overview.finished[-1]
        yield Finding(
            check="failures",
            finding="Every trial failed.",
            evidence=f"{counted(len(every), 'trial')}, the last one {last.state}: {last.reason or DASH}.",
            remedy=f"Correct the cause, and {ANEW}.",
        )
        return
    if zone := worst_zone(data, rows, _failed, limit.DIVERGED_SHARE):
        text = f"Every trial with {zone.condition} diverged or ran out of memory."
        yield _finding(data.overview.study, zone, rows, _failed, "diverging corner", text)
    rows, level = [row for row in rows if not _failed(row)], chance_level(data)
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
        elif zone := worst_zone(data, rows, dead, limit.DEAD_SHARE):
            text = f"No trial with {zone.condition} got beyond chance ({100 * level:.1f} %)."
            yield _finding(data.overview.study, zone, rows, dead, "dead zone", text)


def _failed(row: TrialRow) -> bool:
    return row.state in FAILED_BY_ITSELF


def _finding(
    study: Study, zone: Zone, rows: Sequence[TrialRow], bad: Callable[[TrialRow], bool], check: str, text: str
) -> Finding:
    inside, failed, stopped = len(zone.rows), sum(map(bad, rows)), sum(row.state == PRUNED for row in zone.rows)
    epochs = sum(row.epochs_spent for row in zone.rows) / max(1, sum(row.epochs_spent for row in rows))
    way_out = "Leave this choice out"
    if zone.name in study.space and not isinstance(study.space[zone.name], Choice):
        way_out = f"Narrow the range of {zone.name}" + (f", or leave {zone.choice} out" if zone.choice else "")
    return Finding(
        check=check,
        hyperparameter=zone.name,
        finding=text,
        evidence=(
            f"Inside {inside} of {counted(inside, 'drawn trial')}"
            f"{f' ({stopped} stopped early)' if stopped else ''}, outside {failed - inside} of {len(rows) - inside}; "
            f"the zone took {100 * epochs:.0f} % of the epochs."
        ),
        remedy=f"{way_out} in [space], and {ANEW}.",
    )
