"""What a study can optimise, and how such quantities are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A quantity of an epoch. `unit` and `scale` are those of an axis that shows it."""

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    scale: float

    @property
    def axis(self) -> str:
        """The label of an axis."""
        return f"{self.name.replace('_', ' ')} ({self.unit})"

    def format(self, value: float) -> str:
        """`96.58 %`, `1.5432`."""
        return f"{value:.4f}" if is_loss(self.name) else f"{100 * value:.2f} %"


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(name="validation_accuracy", direction="maximize", unit="%", scale=100.0),
        Objective(name="validation_loss", direction="minimize", unit="nats per image", scale=1.0),
    )
}


def is_loss(quantity: str) -> bool:
    """Whether a quantity of any split is a loss, in nats; else it is an accuracy, a fraction."""
    return quantity.endswith("loss")
