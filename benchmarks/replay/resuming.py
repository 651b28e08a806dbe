"""Searches that go on with what they had stopped: each names a configuration and the epoch up to which to train it.

hw2tune's `StudyDriver` stops a trial for good. Here a training that was left at an epoch is taken up there, as from a
checkpoint, so that only new epochs are paid.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from benchmarks.replay.pool import Pool
from benchmarks.replay.table import Curve, Found, key_of
from hw2tune.search.design import UnitPoint, coordinates


@dataclass(kw_only=True)
class Training:
    """A row of the table and how far it was trained."""

    row: str
    curve: Curve
    values: list[float] = field(default_factory=list)  # validation accuracy, epoch by epoch
    busy: bool = False
    diverged: bool = False

    def best(self, epoch: int) -> float:
        """The best value of the first epochs."""
        return max(self.values[:epoch])


class Resuming(Protocol):
    """A search that may name a row again."""

    def ask(self, trainings: Mapping[str, Training]) -> tuple[str, int]:
        """The row to be trained next, never one that is busy, and up to which epoch."""
        ...

    def tell(self, training: Training) -> None:
        """Called when a row was trained as far as it was asked for, or diverged; the references come first."""
        ...


def resumed(pool: Pool, asks: Resuming, rng: np.random.Generator, *, budget: int, workers: int) -> list[Found]:
    """One search, with the references to the end first: an entry an epoch."""
    study, found = pool.task.study, list[Found]()
    trainings: dict[str, Training] = {}
    first = [(pool.row_of[key_of(one)], study.max_epochs) for one in study.references.values()]
    queue: list[tuple[float, int, str, int]] = []  # time, tie, row, last epoch
    ties = 0

    def give(now: float) -> None:
        nonlocal ties
        row, last = first.pop(0) if first else asks.ask(trainings)
        if row not in trainings:
            trainings[row] = Training(row=row, curve=pool.curve(pool.table.configurations[row], rng))
        trainings[row].busy, ties = True, ties + 1
        heapq.heappush(queue, (now + pool.seconds(pool.table.configurations[row]), ties, row, last))

    for _ in range(workers):
        give(0.0)
    for spent in range(1, budget + 1):
        now, tie, row, last = heapq.heappop(queue)
        one = trainings[row]
        value = one.curve.at(len(one.values) + 1)
        if value is None:
            one.diverged = True
        else:
            one.values.append(value)
        if one.diverged or len(one.values) == last:
            one.busy = False
            asks.tell(one)
            give(now)
        else:
            heapq.heappush(queue, (now + pool.seconds(pool.table.configurations[row]), tie, row, last))
        there = [one for one in trainings.values() if one.values and not one.diverged]
        if there:
            best = max(there, key=lambda one: one.best(len(one.values)))
            found.append(Found(epochs=spent, seconds=now, score=pool.score(pool.table.configurations[best.row])))
    return found


class Promotion:
    """Random draws, each trained to the first rung; the best third of a rung goes on from it."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.study, self.rng = pool, pool.task.study, np.random.default_rng(seed)
        least, factor, most = self.study.pruner.min_epochs, 3, self.study.max_epochs
        self.rungs = [epoch for epoch in (least * factor**power for power in range(20)) if epoch < most] + [most]
        self.factor = factor

    def ask(self, trainings: Mapping[str, Training]) -> tuple[str, int]:
        """The best of the highest rung that may go on, or a new draw."""
        for rung, following in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            there = [one for one in trainings.values() if len(one.values) >= rung and not one.diverged]
            there.sort(key=lambda one: -one.best(rung))
            for one in there[: len(there) // self.factor]:
                if len(one.values) == rung and not one.busy:
                    return one.row, following
        names = coordinates(self.study.search_space)
        point = dict(zip(names, self.rng.random(len(names)).tolist(), strict=True))
        return self.pool.nearest(self.study.search_space.suggest(UnitPoint(point)), trainings), self.rungs[0]

    def tell(self, training: Training) -> None:
        """Everything is in the trainings."""
