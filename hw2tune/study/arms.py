"""Arms: the same study with hyperparameters fixed or narrowed, each searched on the same budget and the same seeds.

A search of an arm is a study of its own, derived from the file's: its space is the file's with the arm's entries in
place, and it keeps the references and queued configurations that train there what they train in the file's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from hw2tune.study.conditions import Bounds, as_list, condition_text
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.schema import TUNED, Configuration, Study
from hw2tune.study.space import Choice, Distribution, Interval, Space

CLAIM_SEEDS = 20  # of each search, at most, if there are several
SEARCH_SEEDS = 10_000  # from one search's seed to the next: those of its claims and its race are nearer
LONGEST = 61  # characters of an arm's name: a further search's has up to three more, and is a study's name


def searches(study: Study) -> list[Study]:
    """Return the searches in the order of running: the first of every arm, then the second of every arm, ..."""
    return [search_of(study, arm, number) for number in range(1, study.searches + 1) for arm in study.arms]


def sides(study: Study) -> list[Study]:
    """Return what is searched, once each: the arms, or without any the study itself."""
    return [search_of(study, arm) for arm in study.arms] or [study]


def search_name(arm: str, number: int) -> str:
    """Return the folder's name of search `number`, from 1, of an arm."""
    return arm if number == 1 else f"{arm}.{number}"


def search_seeds(study: Study) -> str:
    """Return `0`, or of several searches of each arm `0 to 60,000 in steps of 10,000`."""
    last = study.seed + SEARCH_SEEDS * (study.searches - 1)
    return str(study.seed) if study.searches == 1 else f"{study.seed:,} to {last:,} in steps of {SEARCH_SEEDS:,}"


def seeds_of_claims(study: Study, searches: int, each: int) -> list[int]:
    """Return the fresh seeds, `each` for every search, on which the winners of that search are trained and tested."""
    return [study.seed + 1 + CLAIM_SEEDS * search + n for search in range(searches) for n in range(each)]


def search_of_seed(study: Study, seed: int) -> int:
    """Return the search, from 0, whose winners are tested on a seed."""
    return (seed - study.seed - 1) // CLAIM_SEEDS if study.searches > 1 else 0


def search_of(study: Study, arm: str, number: int = 1) -> Study:
    """Return search `number` of an arm as a study of its own. Its winner, `tuned`, is what claims call by the arm."""
    space, training = _space(study, arm)
    sides = {side.variant: side for claim in study.claims for side in (claim.a, claim.b) if side.of == arm}
    kept = {
        name: one for name, one in study.references.items() if _fits(study, one, space=space, training=training)
    }  # fmt: skip
    content: dict[str, Any] = {
        "name": search_name(arm, number),
        "seed": study.seed + SEARCH_SEEDS * (number - 1),
        "space": {name: one.model_dump() for name, one in space.items()},
        "training": training,
        "references": kept,
        "enqueue": [one for one in study.enqueue if _fits(study, one, space=space, training=training)],
        "claims": [
            {"a": {"of": TUNED}, "b": {"of": TUNED, "with": side.changes, "name": side.name}}
            for side in sides.values()
            if side.changes
        ],
        "arms": {},
        "searches": 1,
        "code": study.code,
    }
    return Study.model_validate(study.model_dump() | content)


def arm_faults(study: Study) -> Iterator[str]:
    """Yield the faults of arms that a study by itself could not have."""
    if study.searches > 1 and not study.arms:
        yield f"searches: goes with [arms.NAME], of which there is none, but got {study.searches}; leave it out"
    for arm in study.arms:
        if arm in study.references:
            yield f"arms.{arm}: is the name of a reference; take another name"
        if arm in (TUNED, "best") or re.search(r"\.\d+$", arm):
            yield f"arms.{arm}: winners and further searches ({arm}.2) are called so; take another name"
        if len(arm) > LONGEST:
            yield f"arms.{arm}: must have {LONGEST} characters at most, as further searches are called {arm}.2"
        yield from _entry_faults(study, arm)
    for one, other in combinations(study.arms, 2):
        if one.lower() == other.lower():
            yield f"arms.{other}: is arms.{one} in other capitals, and some disks cannot hold both; use another name"
        if _space(study, one) == _space(study, other):
            yield f"arms.{other}: is the same as arms.{one}, so a claim compares nothing; change an entry"


def _entry_faults(study: Study, arm: str) -> Iterator[str]:
    possible, _ = _space(study, arm)
    for name, one in study.arms[arm].items():
        place, whole = f"arms.{arm}.{name}", study.space.get(name)
        if one.when:
            yield f"{place}.when: an arm keeps the conditions of [space]; leave it out"
        if whole is None and _fixed(one) is None:
            yield f"{place}: not in [space]; narrow what is searched there, or fix it to one value"
        elif whole and _fixed(one) is None and not _within(one, whole):
            yield f"{place}: must lie in [space] ({whole}), but got {one}"
        elif whole and name not in possible:
            yield f"{place}: exists only{condition_text(whole.when)}, which this arm never has; leave it out"


def _space(study: Study, arm: str) -> tuple[dict[str, Distribution], Configuration]:
    """Return the arm's [space] and [training]; only what some configuration has, under conditions that can hold."""
    entries = study.arms[arm]
    fixed = {name: one.choices[0] for name, one in entries.items() if isinstance(one, Choice)}
    narrowed = {
        name: one.model_copy(update={"when": study.space[name].when})
        for name, one in entries.items()
        if name in study.space
    }
    possible: dict[str, Distribution] = {}
    for name, one in Space(study.space | narrowed).distributions.items():  # each after those that its conditions name
        when = {on: _left(condition, possible.get(on)) for on, condition in one.when.items()}
        if None not in when.values():
            possible[name] = one.model_copy(update={"when": when})
    outside = {name: value for name, value in fixed.items() if name not in study.space}
    return {name: possible[name] for name in study.space if name in possible}, study.training | outside


def _left(condition: Any, other: Distribution | None) -> Any:
    """Return the part of a condition that a distribution can meet, None if it cannot."""
    if other is None or isinstance(condition, Bounds):
        return condition if other and other.meets(condition) else None
    kept = [value for value in as_list(condition) if other.contains(value)]
    return None if not kept else kept if isinstance(condition, list) else kept[0]


def _fits(
    study: Study, configuration: Mapping[str, Value], *, space: Mapping[str, Distribution], training: Configuration
) -> bool:
    """Return whether an arm can draw a configuration, which then trains the same there."""
    same = identity({**training, **configuration}) == identity(study.complete(configuration))
    return same and not Space(space).validation_errors(configuration)


def _fixed(one: Distribution) -> Value | None:
    return one.choices[0] if isinstance(one, Choice) and len(one.choices) == 1 else None


def _within(one: Distribution, whole: Distribution) -> bool:
    """Return whether every value of a distribution is one of another's."""
    if isinstance(one, Choice):
        return all(map(whole.contains, one.choices))
    if isinstance(whole, Choice):
        return one.values is not None and all(map(whole.contains, one.values))
    aligned = not whole.integer or (one.integer and one.step % whole.step == 0)
    zero = whole.or_zero or not one.or_zero
    return isinstance(one, Interval) and aligned and zero and all(map(whole.contains, one.extremes()))
