"""Objectives of a study, and how their values are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SECONDS, PARAMETERS = "seconds", "parameters"  # of training, of the network: what a second objective can be


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A quantity of an epoch; without `direction`, to maximise. `unit` is that of an axis that shows it."""

    name: str
    direction: Literal["maximize", "minimize"] = "maximize"
    unit: str = ""

    @property
    def metric(self) -> str:
        """The name of the quantity on any images: `accuracy`, `loss`, or the objective's own."""
        return self.name.removeprefix("validation_") if self.name in OBJECTIVES else self.name

    @property
    def on_test(self) -> str:
        """The quantity on the test images as text: `test accuracy`, `test macro F1`."""
        return f"test {self.label.removeprefix('validation ')}"

    @property
    def is_share(self) -> bool:
        """Return whether values are fractions of images, from 0 to 1."""
        return self.unit == "%"

    @property
    def scale(self) -> float:
        return 100.0 if self.unit == "%" else 1.0

    @property
    def label(self) -> str:
        return self.name.rpartition(":")[2].replace("_f1", "_F1").replace("_", " ")

    @property
    def axis(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def format(self, value: float) -> str:
        """Return a value as text: `96.58 %`, `1.5432`."""
        return f"{100 * value:.2f} %" if self.unit == "%" else decimals(value)


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(name="validation_accuracy", unit="%"),
        Objective(name="validation_loss", direction="minimize", unit="nats per image"),
        Objective(name="balanced_accuracy", unit="%"),  # the mean over classes of the share that is recognised
        Objective(name="macro_f1", unit="%"),  # the mean over classes of the F1 score
    )
}


def objective_of(name: str) -> Objective:
    """Return an objective of the table, or that of a user's function, `metrics.py:name`, to maximise."""
    return OBJECTIVES.get(name, Objective(name=name))


def decimals(value: float, sign: str = "") -> str:
    """Return a loss, or a value of any unit, as text: `1.5432`, `0.00034`, `3.4e-5`; with `sign` "+" `+1.5432`.

    Four decimals, or two significant digits if four decimals show fewer: an interval that excludes zero must not seem
    to touch it, and a metric may be small in its unit.
    """
    if abs(value) < 1e-12:  # what rounding leaves of a difference of equal values
        return "0.0000"
    return f"{value:{sign}.2g}".replace("e-0", "e-") if abs(value) < 1e-3 else f"{value:{sign}.4f}"


def sign_of(direction: str) -> int:
    """Return the factor that makes larger values better: 1 for `maximize`, -1 for `minimize`."""
    return {"maximize": 1, "minimize": -1}[direction]


def best_epoch(values: Mapping[int, float], direction: str) -> int | None:
    """Return the epoch with the best finite value, the first of equals, or None if no value is finite."""
    finite = [epoch for epoch, value in values.items() if math.isfinite(value)]
    return min(finite, key=lambda epoch: (-sign_of(direction) * values[epoch], epoch), default=None)


def never_finite(objective: str, values: Mapping[int, float]) -> str:
    """Return the reason for which a training without a finite value of its objective counts as diverged."""
    last = max(values)
    return f"diverged in epoch {last}: {objective} was never finite ({values[last]:g})"


def is_loss(quantity: str) -> bool:
    """Return whether a quantity of any split is a loss, in nats; else it is an accuracy, a fraction."""
    return quantity.endswith("loss")
