"""A table of learning curves as `benchmarks.search_tables` wrote it."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_tasks import TASKS, Task, configurations
from hw2tune.study.hyperparameters import Value

Array = NDArray[np.float64]
CHANCE = 0.1  # ten classes each
LIVING = 2 * CHANCE  # validation accuracy of a row that learns at all
UNLIMITED = 100_000  # trials, of a world where no configuration is used up
NEAREST = 8  # repeated rows that say what a row without another seed reaches


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One training, epoch by epoch: (E,) validation and test accuracy. One that diverged is shorter."""

    validation: Array
    test: Array
    diverged: bool = False

    @property
    def chosen(self) -> float:
        """Test accuracy of the epoch that validation chooses, the first of equals; chance where it diverged."""
        return CHANCE if self.diverged else float(self.test[self.validation.argmax()])

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
        self.curves = {key: self._curve(some) for key, some in lines.items()}
        self.seeds: dict[str, list[int]] = defaultdict(list)  # by row
        for row, seed in sorted(self.curves):
            self.seeds[row].append(seed)
        rows = max(int(row) for row, _ in lines if row.isdigit()) + 1
        first = set(range(task.everywhere))
        self.configurations = {
            row: one for row, one in configurations(task, rows).items() if first <= {*self.seeds[row]}
        }
        self.seconds = self._seconds(lines)

    def _curve(self, lines: list[dict[str, str]]) -> Curve:
        there = [line for line in lines if line["validation_correct"]]
        validation = np.array([int(line["validation_correct"]) / self.task.validation_images for line in there])
        test = np.array([int(line["test_correct"]) / self.task.test_images for line in there])
        assert validation.max(initial=0) <= 1 and test.max(initial=0) <= 1
        return Curve(validation=validation, test=test, diverged=len(there) < len(lines))

    def _seconds(self, lines: Mapping[Any, list[dict[str, str]]]) -> dict[str, float]:
        """Seconds an epoch by row: the median over all trainings with its optimizer and batch size."""
        groups: dict[tuple[str, str], list[float]] = defaultdict(list)
        for some in lines.values():
            groups[some[0]["optimizer"], some[0]["batch_size"]] += [
                float(line["seconds"]) for line in some if line["seconds"]
            ]
        return {f"{one} {batch}": float(np.median(seconds)) for (one, batch), seconds in groups.items() if seconds}

    def epoch_seconds(self, configuration: Mapping[str, Value]) -> float:
        """Seconds of one epoch."""
        known = self.seconds
        return known.get(
            f"{configuration['optimizer']} {configuration['batch_size']}", float(np.median(list(known.values())))
        )

    def alive(self, row: str) -> bool:
        """Whether a row learns on the first seed: it ends, and is above twice chance."""
        one = self.curves[row, 0]
        return not one.diverged and bool(one.validation.max() > LIVING)

    def scores(self, seen: int) -> dict[str, float]:
        """By row the mean test accuracy, at the epoch that validation chose, over seeds that a search on `seen` lacks.

        These are the seeds that chose nothing, or else, for rows without them, the others that all rows have, or else
        the mean of the rows that have them and were the most alike by validation on `seen`.
        """
        return _scores(self, seen)

    def _score(self, row: str, seen: int) -> float | None:
        known = {seed: self.curves[row, seed].chosen for seed in self.seeds[row] if seed != seen}
        fresh = [value for seed, value in known.items() if seed >= self.task.everywhere]
        return float(np.mean(fresh or list(known.values()))) if known else None

    @cached_property
    def repeated(self) -> set[str]:
        """The rows with seeds that chose nothing."""
        return {row for row, seed in self.curves if seed >= self.task.everywhere}

    @cached_property
    def residuals(self) -> list[tuple[float, Array, Array]]:
        """Of repeated trainings: final score, and what validation and test curve are above their row's mean."""
        found = []
        for row in self.configurations:
            some = [one for seed in self.seeds[row] if not (one := self.curves[row, seed]).diverged]
            if len(some) < 2:
                continue
            mean_v, mean_t = np.mean([one.validation for one in some], 0), np.mean([one.test for one in some], 0)
            swell = np.sqrt(len(some) / (len(some) - 1))  # a mean of few lies nearer to them than the truth does
            score = float(np.mean([one.chosen for one in some]))
            found += [(score, swell * (one.validation - mean_v), swell * (one.test - mean_t)) for one in some]
        return found


@cache
def _scores(table: Table, seen: int) -> dict[str, float]:
    measured = {row: table._score(row, seen) for row in table.configurations}
    known = {row: value for row, value in measured.items() if value is not None}
    values = {row: _best(table.curves[row, seen]) for row in table.configurations}

    def guessed(row: str) -> float:
        near = sorted((one for one in known if not table.curves[one, seen].diverged), key=lambda one: (
            abs(values[one] - values[row]), one
        ))  # fmt: skip
        return float(np.mean([known[one] for one in near[:NEAREST]]))

    return {row: known[row] if row in known else guessed(row) for row in table.configurations}


def _best(one: Curve) -> float:
    return float(one.validation.max(initial=0))


@cache
def table_of(task: str) -> Table:
    """The table of a task, once a process."""
    return Table(TASKS[task])


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search would return once `epochs` are spent and `seconds` have passed, and its complete trials.

    References, which are always complete, do not count among these.
    """

    epochs: int
    seconds: float
    score: float
    complete: int = 0


def key_of(configuration: Mapping[str, Value]) -> Any:
    """A configuration as a key."""
    return tuple(sorted(configuration.items()))
