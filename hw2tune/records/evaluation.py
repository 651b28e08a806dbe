"""Evaluation of one network on one split, as a replicate's record has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One network on one split. `split` is its name; `overlaps_training` puts a caveat beside it."""

    split: str
    epoch: int
    loss: float | None  # None if it is not finite
    accuracy: Annotated[float, Field(ge=0, le=1)]
    correct: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(gt=0)]
    overlaps_training: bool = False
    metric: str = ""  # `Objective.metric` of the study; earlier versions had loss and accuracy alone
    value: float | None = None  # of the metric; None if it is not finite

    def __post_init__(self) -> None:
        if self.correct > self.total:
            raise ValueError(f"{self.correct} correct of {self.total}")

    def measured(self, metric: str) -> float | None:
        """Return the value of an `Objective.metric`; None if it is not finite, or was not measured."""
        value = {"loss": self.loss, "accuracy": self.accuracy, self.metric: self.value}.get(metric)
        return value if value is not None and math.isfinite(value) else None
