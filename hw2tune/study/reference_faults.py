"""What is wrong with references, enqueued configurations and claims."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hw2tune.study.claims import TUNED, Side
from hw2tune.study.distributions import Distribution
from hw2tune.study.hyperparameters import HYPERPARAMETERS, KNOWN, error_in_value
from hw2tune.study.notation import did_you_mean
from hw2tune.study.schema import NAME_PATTERN
from hw2tune.study.space import Space
from hw2tune.study.space_faults import is_known


def faults_of_configurations(
    content: Mapping[str, Any], distributions: Mapping[str, Distribution], *, complete: bool
) -> Iterator[str]:
    """References and [[enqueue]]; `complete` where all of [space] could be read."""
    references, queue = content.get("references"), content.get("enqueue")
    key = "published" if "published" in content else "references"
    named: dict[str, Any] = {}
    if isinstance(references, Mapping):
        named |= {f"{key}.{name}": one for name, one in references.items()}
        yield from _of_number(content, len(references))
        if TUNED in references:
            yield f"references.{TUNED}: is what the winner of the search is called; take another name"
    if isinstance(queue, list):
        named |= {f"enqueue.{number}": one for number, one in enumerate(queue)}
    space = Space(distributions) if complete and not _cyclic(distributions) else None
    for place, configuration in named.items():
        if isinstance(configuration, Mapping):
            yield from _of_configuration(place, configuration, space)


def _cyclic(distributions: Mapping[str, Distribution]) -> bool:
    try:
        Space(distributions)
    except ValueError:
        return True
    return False


def _of_number(content: Mapping[str, Any], references: int) -> Iterator[str]:
    trials = content.get("trials", 50)
    if isinstance(trials, int) and trials < references:
        yield f"trials: must be {references} or more, as the references are the first trials, but got {trials}"


def _of_configuration(place: str, configuration: Mapping[str, Any], space: Space | None) -> Iterator[str]:
    outside = space.validation_errors(configuration) if space is not None else {}
    for name in dict.fromkeys([*configuration, *outside]):
        if not is_known(name):
            if name in configuration:
                yield f"{place}.{name}: unknown hyperparameter{did_you_mean(name, KNOWN)}"
            continue
        fault = error_in_value(name, configuration[name]) if name in configuration else None
        if fault := fault or outside.get(name) or _without_it(name, configuration):
            yield f"{place}.{name}: {fault}"


def _without_it(name: str, configuration: Mapping[str, Any]) -> str | None:
    """A hyperparameter beside an optimizer that does not have it."""
    optimizer = configuration.get("optimizer")
    having = HYPERPARAMETERS[name].optimizers if name in KNOWN and name in configuration else ()
    return f"{optimizer} has none; leave it out" if having and optimizer and optimizer not in having else None


def faults_of_claims(content: Mapping[str, Any]) -> Iterator[str]:
    """Each side must be there and differ from the other, and no two may share a name."""
    claims, references = content.get("claims"), content.get("references")
    if not isinstance(claims, list):
        return
    known = [*references, TUNED] if isinstance(references, Mapping) else [TUNED]
    named: dict[str, Any] = {name: (name, {}) for name in known}
    for number, claim in enumerate(claims):
        if not isinstance(claim, Mapping):
            continue
        for side in ("a", "b"):
            yield from _of_side(f"claims.{number}.{side}", claim.get(side), known, named)
        if claim.get("a") is not None and claim.get("a") == claim.get("b"):
            yield f"claims.{number}: a and b are the same; a claim compares two configurations"


def _of_side(place: str, side: Any, known: list[str], named: dict[str, Any]) -> Iterator[str]:
    of = side.get("of", TUNED) if isinstance(side, Mapping) else side
    if isinstance(of, str) and of not in known:
        yield f"{place}: no configuration {of!r}{did_you_mean(of, known)}"
    if not isinstance(side, Mapping):
        return
    changes, name = side.get("with", {}), side.get("name")
    if isinstance(changes, Mapping):
        for hyperparameter, value in changes.items():
            if not is_known(hyperparameter):
                yield f"{place}.with.{hyperparameter}: unknown hyperparameter{did_you_mean(hyperparameter, KNOWN)}"
            elif fault := error_in_value(hyperparameter, value):
                yield f"{place}.with.{hyperparameter}: {fault}"
    if isinstance(name, str) and name and (not re.fullmatch(NAME_PATTERN, name) or name in known):
        yield f"{place}.name: must be a new name of letters, digits, `.`, `_` and `-`, but got {name!r}"
        return
    with contextlib.suppress(ValidationError):  # named by the schema
        one = Side.model_validate(side)
        if named.setdefault(one.variant, (one.of, one.changes)) != (one.of, one.changes):
            yield f"{place}.name: {one.variant!r} is the name of another configuration; set a name of its own"
