"""The search space: one distribution a hyperparameter, some of them only under a condition.

Optuna is not imported here. `Space.suggest` asks anything with Optuna's `suggest_*` methods; `encode` and `decode`
translate between a configuration and what Optuna stores for it. The two differ in one place: a parameter with
`or_zero` is stored as a choice `<name>.zero` and, where that is false, as the number itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from hw2tune.study.hyperparameters import Value, identity

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


COUNTED = 10_000  # configurations; no study tries as many


class Suggests(Protocol):
    """The part of `optuna.Trial` that a space needs."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


class Interval(BaseModel):
    """A real number in [low, high], uniform or log-uniform; with `or_zero`, exactly 0 as well."""

    model_config = STRICT
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    log: bool = False
    or_zero: bool = False
    when: dict[str, Value] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _bounds_fit(self) -> Interval:
        if not self.low <= self.high:
            raise ValueError(f"`low <= high` must hold, but got low={self.low}, high={self.high}")
        if self.log and not self.low > 0:
            raise ValueError(f"`low > 0` must hold with log = true, but got low={self.low}")
        return self

    def contains(self, value: Any) -> bool:
        """Whether `value` can be drawn."""
        return isinstance(value, int | float) and (self.low <= value <= self.high or (self.or_zero and value == 0))

    def extremes(self) -> tuple[Value, ...]:
        """The values to hold against the hyperparameter's own domain."""
        return (self.low, self.high)

    @property
    def values(self) -> list[Value] | None:
        """All values where they can be counted, None where not."""
        if self.low < self.high:
            return None
        return [0.0, self.low] if self.or_zero and self.low else [self.low]

    def __str__(self) -> str:
        log, zero = " log" if self.log else "", " or 0" if self.or_zero else ""
        return f"{self.low:g}..{self.high:g}{log}{zero}{_condition(self.when)}"


class Choice(BaseModel):
    """One of the listed values."""

    model_config = STRICT
    choices: Annotated[list[Value], Field(min_length=1)]
    when: dict[str, Value] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_choice_twice(self) -> Choice:
        twice = [value for i, value in enumerate(self.choices) if value in self.choices[:i]]
        if twice:
            raise ValueError(f"each choice must stand once, but {twice[0]!r} stands twice")
        return self

    def contains(self, value: Any) -> bool:
        """Whether `value` can be drawn."""
        return value in self.choices

    def extremes(self) -> tuple[Value, ...]:
        """The values to hold against the hyperparameter's own domain."""
        return tuple(self.choices)

    @property
    def values(self) -> list[Value]:
        """All values."""
        return self.choices

    def __str__(self) -> str:
        return "{" + ", ".join(str(value) for value in self.choices) + "}" + _condition(self.when)


def as_table(raw: Any) -> Mapping[str, Any]:
    """A distribution as a table: a list is choices, a plain value a choice of one."""
    return raw if isinstance(raw, Mapping) else {"choices": raw if isinstance(raw, list) else [raw]}


def _kind(raw: Any) -> str:
    listed = "choices" in raw if isinstance(raw, Mapping) else isinstance(raw, Choice)
    return "choice" if listed else "interval"


# Distinguished by `choices`, so that a fault is reported for the kind that was meant and not for both.
Distribution = Annotated[
    Annotated[Interval, Tag("interval")] | Annotated[Choice, Tag("choice")],
    Discriminator(_kind),
]


def _condition(when: Mapping[str, Value]) -> str:
    return "".join(f" when {name} = {value}" for name, value in when.items())


class Space:
    """The distributions of a study by name. Conditions are on unconditional choices only, so one pass decides them."""

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        # Unconditional ones first: a condition then finds its parameter drawn.
        self.distributions = dict(sorted(distributions.items(), key=lambda item: bool(item[1].when)))

    def suggest(self, trial: Suggests) -> dict[str, Value]:
        """Draws one configuration from `trial`; a trial taken up again returns what it drew before."""
        drawn: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if not _applies(distribution, drawn):
                continue
            if isinstance(distribution, Choice):
                drawn[name] = trial.suggest_categorical(name, distribution.choices)
            elif distribution.or_zero and trial.suggest_categorical(zero_key(name), [False, True]):
                drawn[name] = 0.0
            else:
                drawn[name] = trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        return drawn

    def encode(self, configuration: Mapping[str, Value]) -> dict[str, Value]:
        """A configuration as Optuna stores it, for `enqueue_trial`."""
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
        """What Optuna stores as a configuration, in the order of the study file."""
        return {
            name: 0.0 if stored.get(zero_key(name)) is True else stored[name]
            for name in self.distributions
            if name in stored or zero_key(name) in stored
        }

    def size(self) -> int | None:
        """How many different configurations there are; None where they cannot be counted, or are thousands."""
        if any(distribution.values is None for distribution in self.distributions.values()):
            return None
        most = math.prod(len(distribution.values or ()) for distribution in self.distributions.values())
        if most > COUNTED:
            return None
        return len({identity(configuration) for configuration in self.configurations()})

    def configurations(self) -> Iterator[dict[str, Value]]:
        """Every configuration of a space whose size is not None."""
        drawn: list[dict[str, Value]] = [{}]
        for name, distribution in self.distributions.items():
            values = distribution.values
            assert values is not None, "a real interval cannot be counted"
            drawn = [
                more
                for before in drawn
                for more in ([before | {name: v} for v in values] if _applies(distribution, before) else [before])
            ]
        yield from drawn

    def validation_errors(self, configuration: Mapping[str, Value]) -> dict[str, str]:
        """For each hyperparameter of a configuration that this space cannot draw, why."""
        faults = {}
        for name, value in configuration.items():
            distribution = self.distributions.get(name)
            if distribution is None:
                faults[name] = "is not in [space]"
            elif not _applies(distribution, configuration):
                faults[name] = f"exists only{_condition(distribution.when)}"
            elif not distribution.contains(value):
                faults[name] = f"must lie in [space] ({distribution}), but got {value!r}"
        for name, distribution in self.distributions.items():
            if name not in configuration and _applies(distribution, configuration):
                faults[name] = "is in [space] but has no value here"
        return faults


def _applies(distribution: Distribution, drawn: Mapping[str, Value]) -> bool:
    return all(drawn.get(name) == value for name, value in distribution.when.items())


def zero_key(name: str) -> str:
    """The name under which Optuna stores whether a parameter with `or_zero` is exactly zero."""
    return f"{name}.zero"
