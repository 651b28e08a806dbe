"""The search space: one distribution a hyperparameter, some of them only under a condition.

Optuna is not imported here. `Space.suggest` asks anything with Optuna's `suggest_*` methods; `encode` and `decode`
translate between a configuration and what Optuna stores for it. The two differ in one place: a parameter with
`or_zero` is stored as a choice `<name>.zero` and, where that is false, as the number itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_serializer, model_validator

from hw2tune.study.conditions import STRICT, Bounds, Finite, When, condition_text, holds
from hw2tune.study.hyperparameters import Value, is_number
from hw2tune.text.plain import value_text

COUNTED = 10_000  # configurations; no study tries as many


class Suggests(Protocol):
    """The part of `optuna.Trial` that a space needs."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = ..., log: bool = ...) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


class Interval(BaseModel):
    """A real number in [low, high], uniform or log-uniform; with `or_zero`, exactly 0 as well.

    With `integer`, a whole number: low, low + step, ... up to high, or log-uniform. `high` is the last one of these.
    """

    model_config = STRICT
    low: Annotated[Finite, Field(description="smallest value")]
    high: Annotated[Finite, Field(description="largest value")]
    log: Annotated[bool, Field(description="log-uniform")] = False
    or_zero: Annotated[bool, Field(description="exactly 0 as well, half of the time at first")] = False
    integer: Annotated[bool, Field(description="whole numbers")] = False
    step: Annotated[int, Field(ge=1, description="between whole numbers")] = 1
    when: When = Field(default_factory=dict)

    @model_validator(mode="after")
    def _bounds_fit(self) -> Interval:
        if not self.low <= self.high:
            raise ValueError(f"`low <= high` must hold, but got low={self.low}, high={self.high}")
        if self.log and not self.low > 0:
            raise ValueError(f"`low > 0` must hold with log = true, but got low={self.low}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"whole bounds must stand with integer = true, but got low={self.low}, high={self.high}")
        if self.step != 1 and not self.integer:
            raise ValueError(f"`step` goes with integer = true alone, but got step={self.step}")
        if self.step != 1 and self.log:
            raise ValueError(f"`step` and log = true exclude each other, but got step={self.step}")
        object.__setattr__(self, "high", self.high - (self.high - self.low) % self.step if self.integer else self.high)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, serialize: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        content = serialize(self)
        if self.integer:
            return content | {"low": int(self.low), "high": int(self.high)}
        # Studies of earlier versions have no keys of whole numbers, and must stay the same.
        return {name: value for name, value in content.items() if name not in ("integer", "step")}

    def contains(self, value: Any) -> bool:
        if not is_number(value) or (self.or_zero and value == 0):
            return is_number(value)
        fits = not self.integer or (isinstance(value, int) and (value - int(self.low)) % self.step == 0)
        return fits and self.low <= value <= self.high

    def meets(self, condition: Bounds) -> bool:
        low = self.low if condition.low is None else max(self.low, condition.low)
        high = self.high if condition.high is None else min(self.high, condition.high)
        return low <= high or (self.or_zero and condition.contains(0))

    def extremes(self) -> tuple[Value, ...]:
        """Values to be checked against the hyperparameter's own domain."""
        return (int(self.low), int(self.high)) if self.integer else (self.low, self.high)

    def position(self, value: Value) -> float:
        """Return the place of a value in the range, from 0 to 1 in the search's own scale; the middle of a point.

        Whole numbers are as wide as they are drawn, so that the lowest is not at 0.
        """
        low, high, at = float(self.low), float(self.high), float(value)
        if self.integer:
            low, high = low - self.step / 2, high + self.step / 2
        if low == high:
            return 0.5
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)

    @property
    def values(self) -> list[Value] | None:
        """All values, or None if they cannot be counted."""
        zero: list[Value] = [0] if self.or_zero and self.low > 0 else []
        if self.integer:
            steps = range(int(self.low), int(self.high) + 1, self.step)
            return [*zero, *steps] if len(steps) <= COUNTED else None
        if self.low < self.high:
            return None
        return [0.0, self.low] if self.or_zero and self.low else [self.low]

    def suggest(self, name: str, trial: Suggests) -> Value:
        if self.or_zero and trial.suggest_categorical(zero_key(name), [False, True]):
            return 0 if self.integer else 0.0
        if self.integer:
            return trial.suggest_int(name, int(self.low), int(self.high), step=self.step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        log, zero = " log" if self.log else "", " or 0" if self.or_zero else ""
        whole = "" if not self.integer else " whole" if self.step == 1 else f" in steps of {self.step}"
        return f"{self.low:g}..{self.high:g}{whole}{log}{zero}{condition_text(self.when)}"


class Choice(BaseModel):
    """One of the listed values."""

    model_config = STRICT
    choices: Annotated[list[Value], Field(min_length=1)]
    when: When = Field(default_factory=dict)

    @field_validator("choices", mode="before")
    @classmethod
    def _each_choice_is_one_value(cls, choices: Any) -> Any:
        for one in choices if isinstance(choices, list) else ():
            if not isinstance(one, bool | int | float | str):
                raise ValueError(
                    f"each choice must be one number, text, true or false, but got {one!r}; name lists by a word "
                    "(small, large) and look them up in the network"
                )
        return choices

    @model_validator(mode="after")
    def _no_choice_twice(self) -> Choice:
        twice = [value for i, value in enumerate(self.choices) if value in self.choices[:i]]
        if twice:
            raise ValueError(f"each choice must stand once, but {twice[0]!r} stands twice")
        return self

    def contains(self, value: Any) -> bool:
        return value in self.choices

    def meets(self, condition: Bounds) -> bool:
        return any(map(condition.contains, self.choices))

    def extremes(self) -> tuple[Value, ...]:
        return tuple(self.choices)

    @property
    def values(self) -> list[Value]:
        return self.choices

    def suggest(self, name: str, trial: Suggests) -> Value:
        return trial.suggest_categorical(name, self.choices)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return "{" + ", ".join(value_text(value) for value in self.choices) + "}" + condition_text(self.when)


# Distinguished by `choices`, so that a fault is reported for the kind that was meant and not for both.
Distribution = Annotated[
    Annotated[Interval, Tag("interval")] | Annotated[Choice, Tag("choice")],
    Discriminator(lambda raw: "choice" if isinstance(raw, Choice) or "choices" in raw else "interval"),
]


def zero_key(name: str) -> str:
    """Return the name under which Optuna stores whether a parameter with `or_zero` is exactly zero."""
    return f"{name}.zero"


class CycleError(ValueError):
    """Conditions that wait for each other; its argument lists the names."""


class Space:
    """The distributions of a study by name, each after those that its conditions name: one pass decides them all.

    Unconditional ones come first, then others in the given order. Raises CycleError.
    """

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self.distributions: dict[str, Distribution] = {}
        while left := distributions.keys() - self.distributions.keys():
            waiting = {name: any(on in left for on in distributions[name].when) for name in left}
            if all(waiting.values()):
                raise CycleError(sorted(left))
            self.distributions |= {name: one for name, one in distributions.items() if waiting.get(name) is False}

    def suggest(self, trial: Suggests) -> dict[str, Value]:
        """Draw one configuration from `trial`; a resumed trial returns its earlier draw."""
        drawn: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if applies(distribution, drawn):
                drawn[name] = distribution.suggest(name, trial)
        return drawn

    def encode(self, configuration: Mapping[str, Value]) -> dict[str, Value]:
        """Return a configuration as Optuna stores it, for `enqueue_trial`."""
        stored: dict[str, Value] = {}
        for name, value in configuration.items():
            distribution = self.distributions[name]
            if isinstance(distribution, Interval) and distribution.or_zero:
                stored[zero_key(name)] = value == 0
                if value == 0:
                    continue
            stored[name] = value
        return stored

    def decode(self, stored: Mapping[str, Value]) -> dict[str, Value]:
        """Return the configuration in Optuna's storage, in the order of the study file."""
        found: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Interval) and stored.get(zero_key(name)) is True:
                found[name] = 0 if distribution.integer else 0.0
            elif name in stored:
                found[name] = stored[name]
        return found

    def configurations(self) -> list[dict[str, Value]] | None:
        """Return every configuration; None if they cannot be counted, or may be thousands."""
        counted = [one.values for one in self.distributions.values()]
        if None in counted or math.prod(len(values or ()) for values in counted) > COUNTED:
            return None
        drawn: list[dict[str, Value]] = [{}]
        for name, one in self.distributions.items():
            drawn = [
                more
                for before in drawn
                for more in ([before | {name: v} for v in one.values or ()] if applies(one, before) else [before])
            ]
        return drawn

    def validation_errors(self, configuration: Mapping[str, Value]) -> dict[str, str]:
        """Return the fault of each hyperparameter of a configuration that this space cannot draw.

        What is not searched may be given as well: it takes the place of what [training] fixes, or of a default.
        """
        faults = {}
        for name, distribution in self.distributions.items():
            applying = applies(distribution, configuration)
            if name not in configuration and applying:
                faults[name] = "is in [space] but has no value here"
            elif name in configuration and not applying:
                faults[name] = f"exists only{condition_text(distribution.when)}"
            elif name in configuration and not distribution.contains(configuration[name]):
                faults[name] = f"must lie in [space] ({distribution}), but got {configuration[name]!r}"
        return faults


def applies(distribution: Distribution, drawn: Mapping[str, Value]) -> bool:
    """Return whether a hyperparameter exists, given those before it."""
    return all(name in drawn and holds(condition, drawn[name]) for name, condition in distribution.when.items())
