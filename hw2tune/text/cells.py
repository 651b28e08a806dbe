"""Values as the cells of a table print them: short, and a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hw2tune.study.hyperparameters import HYPERPARAMETERS
from hw2tune.study.objectives import objective_of
from hw2tune.text import numbers
from hw2tune.text.plain import value_text

DASH = "\N{EN DASH}"  # nothing there
TIGHT = "\N{NO-BREAK SPACE}"  # a value stays beside its name
_LONG = ("momentum", "weight_decay")  # these are not shortened in a table


def percent(fraction: Any) -> str:
    """A fraction in percent: `95.12 %`."""
    return DASH if missing(fraction) else numbers.percent(fraction)


def points(fraction: Any) -> str:
    """A difference of fractions in percentage points, with its sign: `+0.50`."""
    return DASH if missing(fraction) else numbers.points(fraction)


def percent_interval(low: Any, high: Any) -> str:
    """An interval of fractions, in percent: `94.20 to 95.95`."""
    return DASH if missing(low) or missing(high) else f"{100 * low:.2f} to {100 * high:.2f}"


def points_interval(low: Any, high: Any) -> str:
    """An interval of differences, in points: `-0.31 to +0.21`."""
    return DASH if missing(low) or missing(high) else f"{numbers.points(low)} to {numbers.points(high)}"


def p_value(p: Any) -> str:
    """`0.25`, `0.0625`, `< 0.001`, as in a sentence."""
    return DASH if missing(p) else numbers.p_number(p)


def objective_value(value: Any, objective: str) -> str:
    """An accuracy in percent, a loss as it is."""
    return DASH if missing(value) else objective_of(objective).format(value)


def configuration(params: Mapping[str, Any]) -> str:
    """`adam, lr 0.001, batch 100, weight decay 1e-4`; the optimizer first."""
    rest = [
        f"{_name(name)}{TIGHT}{value_text(value, numbers.scientific)}".replace(" ", TIGHT)
        for name, value in params.items()
        if name != "optimizer"
    ]
    return ", ".join([str(params["optimizer"]), *rest] if "optimizer" in params else rest)


def _name(name: str) -> str:
    spec = HYPERPARAMETERS.get(name)
    if spec is None:
        return numbers.label_of(name)
    return spec.label if name in _LONG else spec.short


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def missing(value: Any) -> bool:
    """Return whether a value is None, NaN or pandas' form of them."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"
