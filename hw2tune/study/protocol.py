"""How the published runs were made and evaluated, where that differs from a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A published protocol: the shipped study with its configurations, and what was held out and evaluated."""

    study: str
    validation_size: int  # images held out of the training
    evaluated: Literal["test", "train"]  # what the report calls its test set


# The CIFAR-10 runs held nothing out, and their "test set" of 50,000 images is the training set.
PROTOCOLS = {
    "mnist": Protocol(study="mnist", validation_size=5_000, evaluated="test"),
    "cifar10": Protocol(study="cifar10", validation_size=0, evaluated="train"),
}
