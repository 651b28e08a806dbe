"""Numbers, durations and configurations as text, in sentences, tables and on the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from hw2tune.study.hyperparameters import HYPERPARAMETERS, MODEL, OPTIMIZERS, Value
from hw2tune.study.objectives import decimals, is_loss, objective_of
from hw2tune.text.plain import value_text

DASH = "\N{EN DASH}"  # a table's cell without a value
TIGHT = "\N{NO-BREAK SPACE}"  # a value stays beside its name


def missing(value: Any) -> bool:
    """Return whether a value is None, NaN or pandas' form of them."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"


def points(fraction: Any) -> str:
    """A difference of accuracies in points, with its sign: `-0.05`, `+1.20`, `0.00`.

    Two decimals, more where a difference from zero would be rounded away: an interval that excludes zero must not
    seem to touch it.
    """
    if missing(fraction):
        return DASH
    value = 100 * fraction
    if abs(value) < 1e-9:
        return "0.00"
    return f"{value:+.2f}" if abs(value) >= 0.005 else f"{value:+.1g}"


def percent(fraction: Any) -> str:
    """An accuracy: `96.58 %`."""
    return DASH if missing(fraction) else f"{100 * fraction:.2f} %"


def percent_interval(low: Any, high: Any) -> str:
    """An interval of fractions, in percent: `94.20 to 95.95`; no fraction is below 0 or above 1."""
    return DASH if missing(low) or missing(high) else f"{100 * max(low, 0):.2f} to {100 * min(high, 1):.2f}"


def objective_value(value: Any, objective: str, otherwise: str = DASH) -> str:
    """An accuracy in percent, a loss as it is."""
    return otherwise if missing(value) else objective_of(objective).format(value)


def measured(value: float, quantity: str) -> str:
    """A value of a quantity by its name: losses in nats, accuracies in percent, a user's own as it is."""
    if is_user_metric(quantity):
        return objective_of(quantity).format(value)
    return f"{decimals(value)} nats" if is_loss(quantity) else percent(value)


def is_user_metric(quantity: str) -> bool:
    """Return whether a quantity is a function of the user's, whose unit is unknown."""
    return ":" in quantity


def difference(value: float, quantity: str) -> str:
    """A difference of two values of a quantity, with its sign and unit."""
    if is_user_metric(quantity):
        return decimals(value, "+")
    return f"{decimals(value, '+')} nats" if is_loss(quantity) else f"{points(value)} points"


def two_digits(number: int) -> int:
    """An estimated number without digits that nobody knows: 237 is about 240."""
    return round(number, 2 - len(str(number)))


def scientific(value: float) -> str:
    """`1e-4`, `1.3e-5`, `0.02`: short, as one writes a weight decay or a learning rate."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 1 else f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def listed(items: Sequence[object]) -> str:
    """`3`, `3 and 4`, `1, 3 and 4`; `none` of nothing."""
    parts = [str(item) for item in items] or ["none"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def ranges(numbers: Sequence[int]) -> str:
    """Return `1 to 5, 8` for sorted numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def counted(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`, `1,000 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def label_of(name: str) -> str:
    """A hyperparameter's name in a sentence."""
    return HYPERPARAMETERS[name].label if name in HYPERPARAMETERS else name.removeprefix(MODEL)


def weight_decay_words(params: Mapping[str, Value]) -> str:
    """Return the meaning of `weight_decay` with this optimizer.

    `L2 1e-4` is coupled, that is part of the gradient (sgd, adam); adamw takes it off the weights instead: `decoupled
    weight decay 1e-4`. `no weight decay` for 0.
    """
    value = float(params.get("weight_decay", 0.0))
    if value == 0:
        return "no weight decay"
    optimizer = OPTIMIZERS.get(str(params.get("optimizer")))
    return f"{'decoupled weight decay' if optimizer and optimizer.decoupled else 'L2'} {scientific(value)}"


def configuration(params: Mapping[str, Any]) -> str:
    """`adam, lr 0.001, batch 100, weight decay 1e-4`, for a table; the optimizer first."""
    return ", ".join(part.replace(" ", TIGHT) for part in _parts(params, ("momentum", "weight_decay"), scientific))


def configuration_line(params: Mapping[str, Any]) -> str:
    """`adam lr 0.0012 batch 64 wd 1.3e-05`, for a terminal; the optimizer first."""
    return " ".join(_parts(params, (), "{:.2g}".format))


def _parts(params: Mapping[str, Any], long: Collection[str], number: Callable[[float], str]) -> list[str]:
    names = {name: spec.label if name in long else spec.short for name, spec in HYPERPARAMETERS.items()}
    rest = [
        f"{names.get(name, name.removeprefix(MODEL))} {value_text(value, number)}"
        for name, value in params.items()
        if name != "optimizer"
    ]
    return [str(params["optimizer"]), *rest] if "optimizer" in params else rest


def configuration_words(params: Mapping[str, Value]) -> str:
    """`adamw, learning rate 0.004, batch size 64, decoupled weight decay 1e-4`."""
    others = [value_words(name, value) for name, value in params.items() if name not in ("optimizer", "weight_decay")]
    return ", ".join([str(params.get("optimizer", "")), *others, weight_decay_words(params)])


def value_words(name: str, value: Value) -> str:
    """`batch size 64`, `dropout 0.5`, `no weight decay`."""
    if name == "weight_decay" and value == 0:
        return "no weight decay"
    if isinstance(value, bool):
        return label_of(name) if value else f"no {label_of(name)}"
    return f"{label_of(name)} {value_text(value, scientific)}"


def changed_words(params: Mapping[str, Value], other: Mapping[str, Value]) -> str:
    """Return the changes of `params` from `other`: `L2 1e-4`, `width 64 in place of 32`."""
    names = [name for name in {**params, **other} if params.get(name) != other.get(name)]
    return listed([_changed(name, params, other) for name in names])


def _changed(name: str, params: Mapping[str, Value], other: Mapping[str, Value]) -> str:
    if name == "weight_decay":
        before = other.get(name) if params.get(name) else None  # none needs no other beside it
        return weight_decay_words(params) + (f" in place of {value_text(before, scientific)}" if before else "")
    default = HYPERPARAMETERS[name].absent if name in HYPERPARAMETERS else None
    now, before = (configuration.get(name, default) for configuration in (params, other))
    if now is None:
        return f"no {label_of(name)}"
    return value_words(name, now) + (f" in place of {value_text(before, scientific)}" if before is not None else "")


def sentence(text: str) -> str:
    """Return the text with a capital letter."""
    return text[:1].upper() + text[1:]
