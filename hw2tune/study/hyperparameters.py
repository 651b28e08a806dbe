"""The hyperparameters of one configuration, and the values that each can take at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

OPTIMIZERS = ("sgd", "adam", "adamw")

Value = bool | int | float | str


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


REQUIRED = ("learning_rate", "batch_size", "optimizer")
KNOWN = (*REQUIRED, "momentum", "weight_decay")


def error_in_value(name: str, value: Any) -> str | None:
    """The condition that `value` breaks as hyperparameter `name`, or None. `name` must be one of KNOWN."""
    condition, holds = {
        "learning_rate": ("a number > 0", is_number(value) and value > 0),
        "batch_size": ("an integer >= 1", isinstance(value, int) and not isinstance(value, bool) and value >= 1),
        "optimizer": (f"one of {', '.join(OPTIMIZERS)}", value in OPTIMIZERS),
        "momentum": ("a number with 0 <= momentum < 1", is_number(value) and 0 <= value < 1),
        "weight_decay": ("a number >= 0", is_number(value) and value >= 0),
    }[name]
    return None if holds else f"must be {condition}, but got {value!r}"


def identity(configuration: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """What two configurations share if they train the same, whatever way each is written."""
    complete = {"momentum": 0.0, "weight_decay": 0.0} | dict(configuration)
    if complete.get("optimizer") != "sgd":
        del complete["momentum"]
    return tuple(
        sorted((name, value if isinstance(value, str | bool) else float(value)) for name, value in complete.items())
    )


def is_number(value: Any) -> bool:
    """True for a finite int or float; bool is no number here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
