"""The published runs: their protocol, and the numbers that they print, in `published_runs.csv` next to this file.

Source: a homework report on deep learning (assignment 2, autumn 2024) that trained two small CNNs with and without
L2, one run each. Epochs 26-31 of CIFAR-10 are not printed there. Its CIFAR-10 "test" figures were taken on the
50,000 training images; `test_total` shows it.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import TypeAdapter

RUNS = ("baseline", "l2")  # of each data set


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


@dataclass(frozen=True, kw_only=True)
class PublishedEpoch:
    """One printed epoch. Losses in nats per image, accuracies as fractions; validation is None where not printed."""

    dataset: str  # mnist or cifar10
    run: str  # baseline or l2
    epoch: int
    train_loss: float
    train_accuracy: float
    validation_accuracy: float | None
    test_loss: float
    test_correct: int
    test_total: int

    @property
    def test_accuracy(self) -> float:
        return self.test_correct / self.test_total


@cache
def published_epochs(dataset: str, run: str) -> tuple[PublishedEpoch, ...]:
    """Return the printed epochs of one run, in order; empty for a data set that was not published."""
    text = resources.files("hw2tune.study").joinpath("published_runs.csv").read_text(encoding="utf-8")
    rows = [
        {**row, "validation_accuracy": row["val_accuracy"] or None}
        for row in csv.DictReader(text.splitlines())
        if (row["dataset"], row["run"]) == (dataset, run)
    ]
    return tuple(TypeAdapter(list[PublishedEpoch]).validate_python(rows))
