"""What is wrong with a search space and with what [training] fixes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hw2tune.study.distributions import Bounds, Choice, Distribution, Interval
from hw2tune.study.hyperparameters import HYPERPARAMETERS, KNOWN, REQUIRED, error_in_value, of_model
from hw2tune.study.notation import did_you_mean
from hw2tune.study.space import CycleError, in_order


def faults_of_space(
    distributions: Mapping[str, Distribution], space: Mapping[str, Any], training: Mapping[str, Any]
) -> Iterator[str]:
    """`distributions` are those of [space] that could be read."""
    for name in space:
        if not is_known(name):
            yield f"space.{name}: unknown hyperparameter{did_you_mean(name, KNOWN, _own(name))}"
    for name in REQUIRED:
        if name not in space and name not in training:
            yield f"space.{name}: is missing; give a range, choices or one value"
    for name, distribution in distributions.items():
        if is_known(name):
            yield from _of_values(name, distribution)
        for on, condition in distribution.when.items():
            fault = _of_condition(name, on, condition, distributions, space)
            if fault:
                yield f"space.{name}.when.{on}: {fault}"
    yield from _of_cycles(distributions)
    yield from _of_optimizers(distributions, training)


def faults_of_training(training: Mapping[str, Any], space: Mapping[str, Any]) -> Iterator[str]:
    """[training]: one value for every configuration."""
    for name, value in training.items():
        if not is_known(name):
            yield f"training.{name}: unknown hyperparameter{did_you_mean(name, KNOWN, _own(name))}"
        elif isinstance(value, list | Mapping):
            yield f"training.{name}: must be one value; what is to be searched stands in [space]"
        elif fault := error_in_value(name, value):
            yield f"training.{name}: {fault}"
        if name in space:
            yield f"training.{name}: stands in [space] as well; let it be searched there or fixed here"


def is_known(name: str) -> bool:
    """Whether this is the name of a hyperparameter, a network's own among them."""
    return name in KNOWN or (of_model(name) and name.removeprefix("model.").isidentifier())


def _own(name: str) -> str:
    """How a hyperparameter of the user's own network is written."""
    return f"; one of your network's own is written model.{name}" if name.isidentifier() else ""


def _of_values(name: str, distribution: Distribution) -> Iterator[str]:
    if isinstance(distribution, Interval) and distribution.or_zero and error_in_value(name, 0):
        yield f"space.{name}.or_zero: zero is no {name.replace('_', ' ')}; leave or_zero out"
    for value in distribution.extremes():
        if fault := error_in_value(name, value):
            yield f"space.{name}: {fault}"
    whole = name in KNOWN and HYPERPARAMETERS[name].kind == "integer"
    if isinstance(distribution, Interval) and whole and not distribution.integer:
        yield f"space.{name}: a range draws real numbers and a {name.replace('_', ' ')} is whole; add integer = true"


def _of_condition(
    name: str, on: str, condition: Any, distributions: Mapping[str, Distribution], space: Mapping[str, Any]
) -> str | None:
    if on not in space:
        return f"condition on an unknown parameter{did_you_mean(on, [n for n in space if n != name])}"
    other = distributions.get(on)
    if other is None:  # faulty itself, and reported so
        return None
    if isinstance(condition, Bounds):
        return _of_bounds(on, condition, other)
    for value in condition if isinstance(condition, list) else [condition]:
        if not other.contains(value):
            if isinstance(other, Choice):
                shown = ", ".join(map(str, other.choices))
                return f"must be one of the choices of {on} ({shown}), but got {value!r}"
            return f"must lie in the range of {on} ({other}), but got {value!r}"
    if isinstance(other, Interval) and other.values is None:
        return f"{on} is a real number that hits one value almost never; write a range {{ low = .., high = .. }}"
    return None


def _of_bounds(on: str, condition: Bounds, other: Distribution) -> str | None:
    if isinstance(other, Choice):
        met = any(condition.contains(value) for value in other.choices)
    else:
        low, high = max(other.low, condition.low or other.low), min(other.high, condition.high or other.high)
        met = low <= high or (other.or_zero and condition.contains(0))
    return None if met else f"no value of {on} ({other}) lies in {condition}"


def _of_cycles(distributions: Mapping[str, Distribution]) -> Iterator[str]:
    try:
        in_order(distributions)
    except CycleError as error:
        yield f"space: the conditions of {' and '.join(error.args[0])} wait for each other; take one `when` out"


def _of_optimizers(distributions: Mapping[str, Distribution], training: Mapping[str, Any]) -> Iterator[str]:
    """What only some optimizers have needs a condition on the optimizer."""
    optimizer = distributions.get("optimizer")
    fixed = [training["optimizer"]] if "optimizer" in training else []
    choices = optimizer.choices if isinstance(optimizer, Choice) else fixed
    for name, distribution in distributions.items():
        having = HYPERPARAMETERS[name].optimizers if name in KNOWN else ()
        if not having or not choices or set(choices) <= set(having):
            continue
        fitting = [str(one) for one in choices if one in having]
        condition = distribution.when.get("optimizer")
        allowed = condition if isinstance(condition, list) else [condition]
        if set(allowed) <= set(having):
            continue
        if not fitting:
            yield f"space.{name}: none of {', '.join(map(str, choices))} has {name}; leave it out"
            continue
        shown = f'"{fitting[0]}"' if len(fitting) == 1 else "[" + ", ".join(f'"{one}"' for one in fitting) + "]"
        verb = "has" if len(fitting) == 1 else "have"
        yield f"space.{name}: only {' and '.join(fitting)} {verb} {name}, so it needs when = {{ optimizer = {shown} }}"
