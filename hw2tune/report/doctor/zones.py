"""Parts of a space in which nothing, or hardly anything, gets anywhere: dead zones, and corners that fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from hw2tune.records.overview import Overview
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import DIVERGED, FAILED, FAILED_BY_ITSELF, OUT_OF_MEMORY, RANKED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice
from hw2tune.text.numbers import scientific
from hw2tune.text.plain import value_text

Bad = Callable[[TrialRow], bool]
FAILING = {DIVERGED: "diverges", OUT_OF_MEMORY: "runs out of memory", FAILED: "raises an error"}
HAS_FAILED = {DIVERGED: "diverged", OUT_OF_MEMORY: "ran out of memory", FAILED: "raised an error"}


def drawn(overview: Overview) -> list[TrialRow]:
    """Return the trials that say something about the space: finished, and no reference."""
    return [row for row in overview.rows if not row.label and (row.state in RANKED or failed_by_itself(row))]


def failed_by_itself(row: TrialRow) -> bool:
    """Return whether a trial's own configuration is why it failed."""
    return row.state in FAILED_BY_ITSELF


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


def failing_corners(overview: Overview) -> Iterator[Zone]:
    """Yield the parts of a search's space that fail, the largest first, each beside the trials of none before."""
    rows = drawn(overview)
    fewest = limit.FAILED_SHARE * len(rows)
    while zone := worst_zone(overview, rows, failed_by_itself, fewest, mostly=True):
        yield zone
        inside = {row.number for row in zone.rows}
        rows = [row for row in rows if row.number not in inside]


def corner_text(zone: Zone) -> str:
    """Return a corner that fails in words: `learning_rate >= 0.08 diverges: 9 of 11 trials`."""
    failed = sum(map(failed_by_itself, zone.rows))
    return f"{zone.condition} {how_failed(zone.rows, FAILING)}: {failed} of {len(zone.rows)} trials"


def how_failed(rows: Sequence[TrialRow], words: Mapping[str, str] = HAS_FAILED) -> str:
    """Return how those of the trials that failed by themselves did: `diverged or ran out of memory`."""
    states = {row.state for row in rows}
    return " or ".join(text for state, text in words.items() if state in states)


def worst_zone(
    overview: Overview, rows: Sequence[TrialRow], bad: Bad, fewest: float, *, mostly: bool = False
) -> Zone | None:
    """Return the largest part of the space in which all is bad, beyond chance; None without one of so many trials.

    No zone reaches beyond a trial that got somewhere, references included; with `mostly` not beyond a reference, and
    where more than a third, or in all more than a fifth, is good. Of two ends each must be beyond chance.
    """
    numbers = {row.number for row in rows}
    others = (row for row in overview.rows if row.number not in numbers and (row.label or not mostly))
    every = [*rows, *(row for row in others if row.value is not None and not bad(row))]
    tried, failed = list(zones(overview.study, every, bad, mostly=mostly)), sum(map(bad, rows))

    def chance(zone: Zone) -> float:
        """Return Fisher's probability that so many of a part's trials are bad, without the other part."""
        parts = [(len(part), sum(map(bad, part))) for part in zone.parts]
        others = [(len(zone.rows) - n, sum(map(bad, zone.rows)) - k) for n, k in parts]
        cuts = len(rows) if any(n > k for n, k in parts) else 1  # an end is then where it looks best
        return cuts * max(
            float(stats.hypergeom.sf(k - 1, len(rows) - o, failed - ok, n))
            for (n, k), (o, ok) in zip(parts, others, strict=True)
        )

    found = [
        zone
        for zone in tried
        if min(map(len, zone.parts)) >= limit.FEWEST_IN_ZONE
        and len(zone.rows) >= fewest
        and chance(zone) * len(tried) < limit.FALSE_ZONE
    ]
    return max(found, key=lambda zone: sum(map(bad, zone.rows)), default=None)


def zones(study: Study, rows: Sequence[TrialRow], bad: Bad, *, mostly: bool = False) -> Iterator[Zone]:
    """Yield the parts of the space that are tried: the ends of every range as far as all is bad, and every choice.

    Within a choice that has trials enough, the ends are tried again. With `mostly` see `worst_zone`.
    """
    yield from _ends(study, rows, bad, "", mostly)
    for name, one in study.space.items():
        for choice in one.choices if isinstance(one, Choice) else []:
            there = [row for row in rows if row.params.get(name) == choice]
            condition = f"{name} = {value_text(choice, scientific)}"
            yield Zone(condition=condition, name=name, parts=[there if _is_bad(there, bad, mostly) else []])
            if len(there) >= limit.FEWEST_TRIALS:
                yield from _ends(study, there, bad, condition, mostly)


def _is_bad(rows: Sequence[TrialRow], bad: Bad, mostly: bool) -> bool:
    """Return whether all of these trials are bad; with `mostly` nearly all, and every reference."""
    good = [row for row in rows if not bad(row)]
    return not good or (
        mostly and not any(row.label for row in good) and len(good) <= limit.GOOD_IN_CORNER * len(rows) + 1e-9
    )


def _ends(study: Study, rows: Sequence[TrialRow], bad: Bad, choice: str, mostly: bool) -> Iterator[Zone]:
    """Yield the lower end of every range, the upper one, and both as one zone."""
    for name, one in study.space.items():
        if isinstance(one, Choice):
            continue
        ordered = sorted((row for row in rows if name in row.params), key=lambda row: float(row.params[name]))
        parts, texts = [], []
        for sign, side in (("<=", ordered), (">=", ordered[::-1])):
            zone = _end(side, name, bad, mostly)
            first = side[len(zone)].params[name] if len(zone) < len(side) else None
            parts.append(zone)
            texts.append(f"{sign} {_bound(zone[-1].params[name], first, sign) if zone else ''}")
        both = parts if sum(map(len, parts)) <= len(ordered) else [[]]  # the ends of a range that is bad throughout
        for text, found in ((texts[0], parts[:1]), (texts[1], parts[1:]), (" or ".join(texts), both)):
            condition = f"{choice} and {name} {text}" if choice else f"{name} {text}"
            yield Zone(condition=condition, name=name, parts=found, choice=choice)


def _end(side: Sequence[TrialRow], name: str, bad: Bad, mostly: bool) -> Sequence[TrialRow]:
    """Return the first trials of a side as far as they are bad; trials of one value are all inside or outside."""
    end, balance, best = 0, 0, 0
    for at, row in enumerate(side, 1):
        balance += 1 if bad(row) else -limit.BAD_PER_GOOD
        if not bad(row) and (row.label or not mostly):
            break
        last = at == len(side) or side[at].params[name] != row.params[name]
        if last and balance >= best and _is_bad(side[:at], bad, mostly):
            end, best = at, balance
    return side[:end]


def _bound(last: Value, beyond: Value | None, sign: str) -> str:
    """Return the last value of a zone in as few digits as leave it inside, and the first good trial's outside."""
    side = 1 if sign == "<=" else -1
    texts = [value_text(last, scientific), *(f"{float(last):.{digits}g}" for digits in range(3, 17))]
    ends = [side * float(last), math.inf if beyond is None else side * float(beyond)]
    return next((text for text in texts if ends[0] <= side * float(text) < ends[1]), str(last))
