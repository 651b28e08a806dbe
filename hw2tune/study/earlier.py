"""Faults of a study that earlier versions accepted: a new study is refused, one that was run is continued with a note.

They need the whole study, and are asked for once nothing else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from hw2tune.study.conditions import Bounds, holds
from hw2tune.study.hyperparameters import REQUIRED
from hw2tune.study.schema import Study
from hw2tune.study.space import Distribution
from hw2tune.text.plain import value_text


def earlier_faults(study: Study) -> dict[str, str]:
    """Return the condition and the way out by place, `space.learning_rate.when.optimizer`."""
    return dict(_of_required(study))


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
