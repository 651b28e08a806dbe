"""A table of learning curves as `benchmarks.search_tables` wrote it."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_tables import Task, configurations
from hw2tune.study.hyperparameters import Value

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One training, epoch by epoch: (E,) validation and test accuracy. One that diverged is shorter."""

    validation: Array
    test: Array

    @property
    def chosen(self) -> float:
        """Test accuracy of the epoch that validation chooses, the first of equals; 0 where there is none."""
        return float(self.test[self.validation.argmax()]) if len(self.validation) else 0.0

    def at(self, epoch: int) -> float | None:
        """Validation accuracy at an epoch, from 1; None where it diverged before its end."""
        return float(self.validation[epoch - 1]) if epoch <= len(self.validation) else None


class Table:
    """A task's trainings, by row and seed."""

    def __init__(self, task: Task) -> None:
        self.task = task
        lines: dict[tuple[str, int], list[dict[str, str]]] = defaultdict(list)
        for line in csv.DictReader(gzip.decompress(task.path.read_bytes()).decode().splitlines()):
            lines[line["row"], int(line["seed"])].append(line)
        right = [int(line["validation_correct"] or 0) for some in lines.values() for line in some]
        self.validation, self.test = SIZES[task.name]
        assert max(right) <= self.validation
        rows = max(int(row) for row, _ in lines if row.isdigit()) + 1
        self.configurations = {row: one for row, one in configurations(task, rows).items() if (row, 0) in lines}
        self.curves = {key: self._curve(some) for key, some in lines.items()}
        self.seconds = self._seconds(lines)

    def _curve(self, lines: list[dict[str, str]]) -> Curve:
        there = [line for line in lines if line["validation_correct"]]
        return Curve(
            validation=np.array([int(line["validation_correct"]) / self.validation for line in there]),
            test=np.array([int(line["test_correct"]) / self.test for line in there]),
        )

    def _seconds(self, lines: Mapping[Any, list[dict[str, str]]]) -> dict[str, float]:
        """Seconds an epoch by row: the median over all trainings with its optimizer and batch size."""
        groups: dict[tuple[str, str], list[float]] = defaultdict(list)
        for some in lines.values():
            groups[some[0]["optimizer"], some[0]["batch_size"]] += [
                float(line["seconds"]) for line in some if line["seconds"]
            ]
        return {f"{optimizer} {batch}": float(np.median(seconds)) for (optimizer, batch), seconds in groups.items()}

    def epoch_seconds(self, configuration: Mapping[str, Value]) -> float:
        """Seconds of one epoch."""
        known = self.seconds
        return known.get(
            f"{configuration['optimizer']} {configuration['batch_size']}", float(np.median(list(known.values())))
        )

    @cached_property
    def scores(self) -> dict[str, float]:
        """By row the mean over its seeds of the test accuracy at the epoch that validation chose."""
        found: dict[str, list[float]] = defaultdict(list)
        for (row, _), one in self.curves.items():
            found[row].append(one.chosen)
        return {row: float(np.mean(some)) for row, some in found.items()}

    @cached_property
    def residuals(self) -> list[tuple[float, Array, Array]]:
        """Of repeated trainings: final score, and what validation and test curve are above their row's mean."""
        found = []
        for row in self.configurations:
            some = [
                c for (r, _), c in self.curves.items() if r == row and len(c.validation) == self.task.study.max_epochs
            ]
            if len(some) < 2:
                continue
            mean_v, mean_t = np.mean([c.validation for c in some], 0), np.mean([c.test for c in some], 0)
            swell = np.sqrt(len(some) / (len(some) - 1))  # a mean of few lies nearer to them than the truth does
            found += [(self.scores[row], swell * (c.validation - mean_v), swell * (c.test - mean_t)) for c in some]
        return found


SIZES = {"mnist-5k": (500, 500), "mnist-5k-cross-entropy": (500, 500), "cifar10-5k": (2500, 2500)}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search would return once `epochs` are spent and `seconds` have passed."""

    epochs: int
    seconds: float
    score: float


def key_of(configuration: Mapping[str, Value]) -> Any:
    """A configuration as a key."""
    return tuple(sorted(configuration.items()))
