"""The hyperparameters: what each is called, what values it can take at all, and one configuration of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

OPTIMIZERS = ("sgd", "adam", "adamw")

Value = bool | int | float | str


def is_number(value: Any) -> bool:
    """True for a finite int or float; bool is no number here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


@dataclass(frozen=True, kw_only=True)
class HyperparameterSpec:
    """All that study files, terminal and report know of a hyperparameter; what it does stands where training uses it.

    `absent` is the value that a configuration without it trains with, None where it must be there.
    """

    name: str
    label: str  # in a sentence and at an axis
    short: str  # on one line of the terminal
    kind: Literal["number", "integer", "text"]
    condition: str  # on its values, as text
    holds: Callable[[Any], bool]
    absent: Value | None = None


HYPERPARAMETERS = {
    spec.name: spec
    for spec in (
        HyperparameterSpec(
            name="learning_rate", label="learning rate", short="lr", kind="number",
            condition="a number > 0", holds=lambda value: is_number(value) and value > 0,
        ),
        HyperparameterSpec(
            name="batch_size", label="batch size", short="batch", kind="integer", condition="an integer >= 1",
            holds=lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        ),
        HyperparameterSpec(
            name="optimizer", label="optimizer", short="", kind="text",
            condition=f"one of {', '.join(OPTIMIZERS)}", holds=lambda value: value in OPTIMIZERS,
        ),
        HyperparameterSpec(
            name="momentum", label="momentum", short="mom", kind="number", absent=0.0,
            condition="a number with 0 <= momentum < 1", holds=lambda value: is_number(value) and 0 <= value < 1,
        ),
        HyperparameterSpec(
            name="weight_decay", label="weight decay", short="wd", kind="number", absent=0.0,
            condition="a number >= 0", holds=lambda value: is_number(value) and value >= 0,
        ),
    )
}  # fmt: skip
KNOWN = tuple(HYPERPARAMETERS)
REQUIRED = tuple(name for name, spec in HYPERPARAMETERS.items() if spec.absent is None)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """One configuration, as the training loop takes it.

    `weight_decay` means what the optimizer means by it: coupled L2 in `sgd` and `adam`, decoupled in `adamw`.
    `momentum` exists with `sgd` only and is None elsewhere.
    """

    learning_rate: float
    batch_size: int
    optimizer: str
    momentum: float | None = None
    weight_decay: float = 0.0

    def as_dict(self) -> dict[str, Value]:
        """Only what this configuration has: no `momentum` where there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def error_in_value(name: str, value: Any) -> str | None:
    """The condition that `value` breaks as hyperparameter `name`, or None. `name` must be one of KNOWN."""
    spec = HYPERPARAMETERS[name]
    return None if spec.holds(value) else f"must be {spec.condition}, but got {value!r}"


def completed(configuration: Mapping[str, Value]) -> dict[str, Value]:
    """A configuration with the values of what it does not name."""
    absent = {name: spec.absent for name, spec in HYPERPARAMETERS.items() if spec.absent is not None}
    return absent | {name: value for name, value in configuration.items() if value is not None}


def identity(configuration: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """What two configurations share if they train the same, whatever way each is written."""
    complete = completed(configuration)
    if complete.get("optimizer") != "sgd":
        del complete["momentum"]
    return tuple(
        sorted((name, value if isinstance(value, str | bool) else float(value)) for name, value in complete.items())
    )
