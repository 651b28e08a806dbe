"""Faults of a study that earlier versions accepted: a new study is refused, one that was run is continued with a note.

They need the whole study, and are asked for once nothing else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hw2tune.study.arms import search_of
from hw2tune.study.conditions import Bounds, as_list, equal, holds
from hw2tune.study.hyperparameters import HYPERPARAMETERS, REQUIRED, Value, identity
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Distribution
from hw2tune.text.plain import value_text
from hw2tune.user_code.files import is_code


def earlier_faults(study: Study) -> dict[str, str]:
    """Return the condition and the way out by place, `space.learning_rate.when.optimizer`."""
    rules = (_of_data, _of_kinds, _of_required, _of_unused, _of_claims)
    return {place: fault for rule in rules for place, fault in rule(study)}


def _of_data(study: Study) -> Iterator[tuple[str, str]]:
    """A function's images are taken as they are."""
    if is_code(study.dataset):
        for key, returns in (("resize", "arrays"), ("test_share", "test images")):
            if getattr(study, key) is not None:
                yield key, f"goes with a folder of images, and {study.dataset} returns {returns}; leave {key} out"


def _of_kinds(study: Study) -> Iterator[tuple[str, str]]:
    """A number is not a switch, although 1 == true in Python."""
    configurations = {f"references.{name}": one for name, one in study.references.items()}
    configurations |= {f"enqueue.{number}": one for number, one in enumerate(study.enqueue)}
    given = [(f"{place}.{name}", name, [value]) for place, one in configurations.items() for name, value in one.items()]
    for arm, entries in study.arms.items():
        given += [(f"arms.{arm}.{name}", name, list(one.values or ())) for name, one in entries.items()]
    for name, one in study.space.items():
        given += [(f"space.{name}.when.{on}", on, as_list(condition)) for on, condition in one.when.items()]
    for place, name, values in given:
        if isinstance(searched := study.space.get(name), Choice):
            alike = [value for value in values if not isinstance(value, Bounds) and searched.contains(value)]
            odd = [value for value in alike if not any(equal(value, choice) for choice in searched.choices)]
            if odd:
                shown = ", ".join(map(value_text, searched.choices))
                yield place, f"must be one of the choices of {name} ({shown}), but got {value_text(odd[0])}"


def _of_unused(study: Study) -> Iterator[tuple[str, str]]:
    """A hyperparameter that no optimizer has does nothing. Conditions of [space] have faults of their own."""
    yield from _unused(study, "training", study.training, study.training)
    if "nesterov" in study.space and study.space["nesterov"].contains(True):
        yield from _unused(study, "space", {"nesterov": True}, study.training | {"nesterov": True})
    for arm, entries in study.arms.items():
        own = search_of(study, arm)
        fixed = {name: value for name, value in own.training.items() if name in entries}
        yield from _unused(own, f"arms.{arm}", fixed, own.training)
    named = {f"references.{name}": one for name, one in study.references.items()}
    for place, one in (named | {f"enqueue.{number}": one for number, one in enumerate(study.enqueue)}).items():
        besides = {name: value for name, value in one.items() if name not in study.space}
        yield from _unused(study, place, besides, {**study.training, **one})


def _of_claims(study: Study) -> Iterator[tuple[str, str]]:
    for number, claim in enumerate(study.claims):
        for key, side in (("a", claim.a), ("b", claim.b)):
            own = search_of(study, side.of) if side.of in study.arms else study
            base = {**own.training, **study.references.get(side.of, {})}
            yield from _unused(own, f"claims.{number}.{key}.with", side.changes, {**base, **side.changes})
        if claim.a.of == claim.b.of and claim.a.of in study.references:
            one, other = ({**study.references[side.of], **side.changes} for side in (claim.a, claim.b))
            if identity(study.complete(one)) == identity(study.complete(other)):
                yield f"claims.{number}", "a and b train the same; a claim compares two configurations"


def _unused(
    study: Study, place: str, given: Mapping[str, Value], configuration: Mapping[str, Value]
) -> Iterator[tuple[str, str]]:
    """Yield each hyperparameter given at a place that no trial of a configuration with it can use."""
    optimizers = [str(configuration["optimizer"])] if "optimizer" in configuration else study.optimizers
    for name in given:
        if not study.can_use(name, configuration):
            who = f"{optimizers[0]} has none" if len(optimizers) == 1 else f"none of {', '.join(optimizers)} has {name}"
            way_out = "leave it out"
            if set(optimizers) & set(HYPERPARAMETERS[name].optimizers):
                who, way_out = f"{who} without momentum", f"set momentum, or {way_out}"
            yield f"{place}.{name}", f"{who}; {way_out}"


def _of_required(study: Study) -> Iterator[tuple[str, str]]:
    """A hyperparameter without a default must exist in each configuration."""
    for name in REQUIRED:
        for on, condition in study.space[name].when.items() if name in study.space else ():
            if left := _left_out(study, on, condition):
                yield (
                    f"space.{name}.when.{on}",
                    f"every configuration needs {name}, and {left} it would have none; leave the condition out",
                )


def _left_out(study: Study, on: str, condition: object) -> str:
    """Return the configurations that do not meet a condition, as text; empty if all do."""
    other = study.space[on]
    if any(_left_out(study, name, one) for name, one in other.when.items()):
        return f"without {on}"
    if other.values is not None:
        value = next((value for value in other.values if not holds(condition, value)), None)
        return "" if value is None else f"with {on} = {value_text(value)}"
    return "" if isinstance(condition, Bounds) and _within(other, condition) else f"with {on} outside of {condition}"


def _within(other: Distribution, condition: Bounds) -> bool:
    zero = getattr(other, "or_zero", False)
    return all(map(condition.contains, other.extremes())) and (not zero or condition.contains(0))
