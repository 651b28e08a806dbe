"""Conditions under which a hyperparameter exists: a value, a list of values, or a range, of another one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from hw2tune.study.hyperparameters import Value, is_number
from hw2tune.text.plain import value_text

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Bounds(BaseModel):
    """A range of values in a condition; one of the two may be left out."""

    model_config = STRICT
    low: Finite | None = None
    high: Finite | None = None

    @model_validator(mode="after")
    def _something_is_bounded(self) -> Bounds:
        if self.low is None and self.high is None:
            raise ValueError("a range needs low, high or both")
        return self

    def contains(self, value: Any) -> bool:
        low, high = -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
        return is_number(value) and low <= value <= high

    def __str__(self) -> str:
        return f"{'' if self.low is None else f'{self.low:g}'}..{'' if self.high is None else f'{self.high:g}'}"


Condition = Annotated[
    Annotated[Bounds, Tag("bounds")]
    | Annotated[Annotated[list[Value], Field(min_length=1)], Tag("values")]
    | Annotated[Value, Tag("value")],
    Discriminator(
        lambda raw: "bounds" if isinstance(raw, Mapping | Bounds) else "values" if isinstance(raw, list) else "value"
    ),
]
When = dict[str, Condition]


def as_list(raw: Any) -> list[Any]:
    """Return a list as it is, and any other value as a list of one."""
    return raw if isinstance(raw, list) else [raw]


def condition_text(when: Mapping[str, Any]) -> str:
    """Return ` when optimizer = sgd`, or an empty text without a condition."""
    return "".join(
        f" when {name} {f'in {one}' if isinstance(one, Bounds) else '= ' + ' or '.join(map(value_text, as_list(one)))}"
        for name, one in when.items()
    )


def equal(one: Value, other: Value) -> bool:
    """Return whether two values are the same; 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def holds(condition: Any, value: Value) -> bool:
    """Return whether a value meets a condition: a value, a list of values, or a range."""
    if isinstance(condition, Bounds):
        return condition.contains(value)
    return any(equal(value, one) for one in as_list(condition))
