"""How a search and its race share one budget: `OMP_NUM_THREADS=1 uv run python -m benchmarks.turning --keep FILE`.

Every way to share is tried on the same searches, at budgets of 6 to 32 trainings. Nothing is trained: a row of a table
has a true curve, drawn from what its trainings leave open, and a training is that curve with the residuals of a
training that was repeated. So a race has as many seeds as it likes, and the score is the mean of many others. What is
compared, and how, was written down before: benchmarks/search_experiments.md, "Replicates".
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from benchmarks.replay.draws import drawn, told
from benchmarks.replay.pool import Pool
from benchmarks.replay.rows import CONFIRMING, TUNING
from benchmarks.replay.scoring import gain
from benchmarks.replay.table import CHANCE, Array, key_of, table_of
from benchmarks.results import print_table, write_results
from benchmarks.rungs import Trained, shipped
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import COMPLETE, DIVERGED, PRUNED
from hw2tune.replication.race import IMAGE_SHARE, THIRD, Finalists, _fit, images_variance, living
from hw2tune.search.design import UnitPoint, coordinates

TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": TUNING}
BUDGETS = (12, 24, 32)  # trainings
FINALISTS = 6
EARLIEST = 6  # trainings, before which no promise is weighed
SEARCHES = 60
FIRST_SEED = 2000  # those before were looked at while this was written
NEAR = 40  # repeated trainings of about a quality


class DrawnWorld:
    """A table's rows with true qualities, drawn anew for each search from what their trainings leave open.

    A training is one of the row's own, moved so that its best validation value is the row's quality with the deviation
    of a repeated training of about that quality. In a `wide` world its quality is the mean of its trainings, luck and
    all, so that qualities differ more than in truth.
    """

    def __init__(self, pool: Pool, rng: np.random.Generator, *, wide: bool = False) -> None:
        self.pool, self.rng, self.table = pool, rng, pool.table
        self.epochs = pool.task.study.max_epochs
        fitted = _fitted(pool)
        at = (fitted.posterior.cumsum(1) < rng.random((len(fitted.rows), 1))).sum(1).clip(max=len(fitted.support) - 1)
        drawn = fitted.means if wide else fitted.support[at]
        self.quality = dict(zip(fitted.rows, drawn.tolist(), strict=True))  # on validation images
        share = {row: min(0.999, max(0.001, value)) for row, value in self.quality.items()}
        images = [math.sqrt(IMAGE_SHARE * p * (1 - p) / pool.task.validation_images) for p in share.values()]
        other = rng.standard_normal(len(images)) * images
        self.scores = {
            row: float(value + fitted.test_above(value) + one)
            for (row, value), one in zip(self.quality.items(), other, strict=True)
        }

    def training(self, row: str) -> tuple[list[float], bool]:
        """A training on a fresh seed: validation by epoch, and whether it diverges."""
        seeds = self.table.seeds[row]
        one, fitted = self.table.curves[row, seeds[self.rng.integers(len(seeds))]], _fitted(self.pool)
        if one.diverged or row not in self.quality:
            return one.validation.tolist(), one.diverged
        best = self.quality[row] + self.rng.choice(fitted.deviations(self.quality[row]))
        return np.clip(one.validation + best - one.validation.max(), 0, 1).tolist(), False

    def score(self, row: str) -> float:
        """Mean test accuracy of fresh trainings; one that diverges scores chance."""
        dies = float(np.mean([self.table.curves[row, seed].diverged for seed in self.table.seeds[row]]))
        return dies * CHANCE + (1 - dies) * self.scores.get(row, CHANCE)


class _Fitted:
    """What the living rows say: deviations of trainings by quality, and the posterior of each quality."""

    def __init__(self, pool: Pool) -> None:
        table = pool.table
        values = {
            row: [one.validation.max() for s in table.seeds[row] if not (one := table.curves[row, s]).diverged]
            for row in pool.rows
        }
        tests = {
            row: [one.chosen for s in table.seeds[row] if not (one := table.curves[row, s]).diverged] for row in values
        }
        self.rows = [row for row, some in values.items() if some and np.mean(some) > 2 * CHANCE]
        repeated = [row for row in self.rows if len(values[row]) > 1]
        self.at = np.repeat([np.mean(values[row]) for row in repeated], [len(values[row]) for row in repeated])
        swell = {row: math.sqrt(len(values[row]) / (len(values[row]) - 1)) for row in repeated}
        self.off = np.concatenate([swell[row] * (np.array(values[row]) - np.mean(values[row])) for row in repeated])
        self.above = np.concatenate([np.array(tests[row]) - np.array(values[row]) for row in repeated])
        self.means = y = np.array([np.mean(values[row]) for row in self.rows])
        noise = np.array([self.deviations(value).std() for value in y])
        error = noise / np.sqrt([len(values[row]) for row in self.rows])
        self.support, self.posterior = _posterior(y, np.maximum(error, 1e-3))

    def _near(self, value: float) -> NDArray[np.intp]:
        return np.argsort(np.abs(self.at - value), kind="stable")[:NEAR]

    def deviations(self, value: float) -> Array:
        """Deviations of repeated trainings of about this quality from their row's mean."""
        off = self.off[self._near(value)]
        return np.asarray(off - off.mean())

    def test_above(self, value: float) -> float:
        """Test less validation at the epoch that validation chooses, of about this quality."""
        return float(self.above[self._near(value)].mean())


@cache
def _fitted(pool: Pool) -> _Fitted:
    return _Fitted(pool)


def _posterior(y: Array, error: Array) -> tuple[Array, Array]:
    """Return support (G,) and posterior (N, G) of the true values behind `y` (N,).

    Their distribution is the nonparametric maximum of likelihood (Kiefer and Wolfowitz, 1956), by EM on a grid.
    """
    support = np.linspace(y.min(), y.max(), 300)
    likelihood = np.exp(-0.5 * ((y[:, None] - support) / error[:, None]) ** 2) / error[:, None]
    weight = np.full(len(support), 1 / len(support))
    for _ in range(300):
        posterior = likelihood * weight
        posterior /= posterior.sum(1, keepdims=True)
        weight = posterior.mean(0)
    return support, posterior


@dataclass
class Trial:
    """A trial of a simulated search; `start` epochs were spent before it."""

    row: str
    label: str
    start: int
    values: list[float]
    state: str

    @property
    def spent(self) -> int:
        return len(self.values) + (self.state == DIVERGED)

    def told(self, pool: Pool) -> FrozenTrial:
        """It as a sampler is told of it."""
        state = TrialState.COMPLETE if self.state == COMPLETE else TrialState.PRUNED
        values = [] if self.state == DIVERGED else self.values
        return told(pool.task.study, pool.configurations[self.row], values, state)

    def as_row(self, number: int, params: Any, until: int) -> TrialRow:
        """It as the records have it when a search is cut behind `until` epochs."""
        left, whole = until - self.start, self.spent <= until - self.start
        values = self.values if whole or self.label else self.values[:left]
        state = self.state if whole or self.label else PRUNED
        best = int(np.argmax(values)) if values else None
        return TrialRow(
            number=number,
            label=self.label,
            state=state,
            reason="",
            epochs=len(values),
            value=None if best is None else values[best],
            best_epoch=best,
            seconds=0.0,
            params=params,
        )


def simulated(world: DrawnWorld, sampler: str, seed: int, budget: int) -> list[Trial]:
    """A search of `budget` epochs, one trial at a time, with the halving that ships.

    `sampler`: random, or tpe as it ships, without the probability of failing.
    """
    pool, study = world.pool, world.pool.task.study.model_copy(update={"seed": seed})
    rng, names = np.random.default_rng(seed), coordinates(study.search_space)
    trials: list[Trial] = []
    taken = {pool.row_of[key] for key in map(key_of, study.references.values())}
    queue = [(label, pool.row_of[key_of(one)]) for label, one in study.references.items()]
    spent = 0
    while spent < budget and len(taken) < len(pool.rows):
        if queue:
            label, row = queue.pop(0)
        else:
            if sampler == "tpe":
                configuration = drawn(study, (one.told(pool) for one in trials))
            else:
                point = dict(zip(names, rng.random(len(names)).tolist(), strict=True))
                configuration = study.search_space.suggest(UnitPoint(point))
            label, row = "", pool.nearest(configuration, taken)
            taken.add(row)
        one = _trained(world, trials, row, label, spent)
        trials.append(one)
        spent += one.spent
    return trials


def _trained(world: DrawnWorld, before: Sequence[Trial], row: str, label: str, spent: int) -> Trial:
    (values, diverged), known = world.training(row), world.pool.configurations
    others = [
        Trained(
            configuration=known[one.row], label=one.label, values=one.values, complete=one.state == COMPLETE,
            diverged=one.state == DIVERGED,
        )
        for one in before
    ]  # fmt: skip
    for rung in () if label else world.pool.task.study.rungs:
        seen = values[:rung]
        if len(seen) == rung and shipped(world.pool.task.study, Trained(configuration=known[row], values=seen), others):
            return Trial(row, label, spent, seen, PRUNED)
    return Trial(row, label, spent, values, DIVERGED if diverged else COMPLETE)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A search that was given a way to share its budget: trainings of search and of race, and the score in points."""

    searched: float
    raced: int
    score: float


class Simulated:
    """A search long enough for the largest budget, and what each way to share a budget makes of it."""

    def __init__(self, world: DrawnWorld, sampler: str, seed: int) -> None:
        self.world, self.seed, self.epochs = world, seed, world.epochs
        self.images = world.pool.task.validation_images
        self.trials = simulated(world, sampler, seed, max(BUDGETS) * self.epochs)

    def rows(self, until: int) -> list[TrialRow]:
        """The trials as the records have them behind so many epochs."""
        known = self.world.pool.configurations
        begun = [one for one in self.trials if one.start < until]
        return [one.as_row(number, {"row": one.row, **known[one.row]}, until) for number, one in enumerate(begun)]

    def searched(self, budget: int) -> Shared:
        """All on the search, whose best value is returned."""
        best = best_first(self.rows(budget * self.epochs), "maximize")[0]
        return Shared(searched=budget, raced=0, score=100 * self.world.score(str(best.params["row"])))

    def raced(self, until: int, trainings: int) -> Shared:
        """Race the best trials as the product does: at most the better third, and as many as there are trainings."""
        rows = self.rows(until)
        ranked = best_first(rows, "maximize")
        entered = ranked[: min(FINALISTS, trainings, math.ceil(len(ranked) / THIRD))]
        numbers, values = {row.number for row in entered}, [row.value or 0.0 for row in entered]
        race = Finalists(
            [row.value if row.state == COMPLETE else None for row in entered],
            [row.value or 0.0 for row in living(rows) if row.number not in numbers],
            images_variance("validation_accuracy", values, self.images),
        )
        spent, self.world.rng = 0, np.random.default_rng((self.seed, until))
        while (next_ones := race.next()) and spent + len(next_ones) <= trainings:
            for number in next_ones:
                validation, diverged = self.world.training(str(entered[number].params["row"]))
                race.values[number].append(None if diverged else max(validation))
            spent += len(next_ones)
        score = 100 * self.world.score(str(entered[race.winner].params["row"]))
        return Shared(searched=until / self.epochs, raced=spent, score=score)

    def last(self, budget: int, trainings: int) -> Shared:
        """The last trainings of the budget for the race; fewer than two compare nothing."""
        if trainings < 2:
            return self.searched(budget)
        return self.raced((budget - trainings) * self.epochs, trainings)

    @cached_property
    def promised(self) -> list[tuple[int, float, float]]:
        """Behind each trial that came to its end: epochs spent, and the two promises."""
        found = []
        for trial in self.trials:
            until = trial.start + trial.spent
            if trial.state == COMPLETE and until >= EARLIEST * self.epochs:
                rows = self.rows(until)
                values = [row.value or 0.0 for row in best_first(rows, "maximize")[:FINALISTS]]
                images = images_variance("validation_accuracy", values, self.images)
                found.append((until, *promises(rows, until / self.epochs, images)))
        return found

    def promising(self, budget: int) -> Shared:
        """Turn as soon as a further training's epochs of search promise less than a second seed of the leader."""
        for until, search, seed in self.promised:
            left = (budget * self.epochs - until) // self.epochs
            if search < seed and left >= 2:
                return self.raced(until, left)
        return self.searched(budget)


WAYS: dict[str, Callable[[Simulated, int], Shared]] = {
    "all on the search": lambda one, budget: one.searched(budget),
    "last sixth": lambda one, budget: one.last(budget, budget // 6),
    "last third": lambda one, budget: one.last(budget, budget // 3),
    "last 12 trainings": lambda one, budget: one.last(budget, 12 if budget > 12 else 0),  # as after a search today
    "by promise": lambda one, budget: one.promising(budget),
}
ALL, SIXTH = "all on the search", "last sixth"


def promises(rows: Sequence[TrialRow], spent: float, images: float) -> tuple[float, float]:
    """Return the expected gain of a further training's epochs of search, and of a second seed of the leader.

    Both under the race's own posterior, of the best posterior mean: expected improvement (Jones et al., 1998) times the
    trials that a training's epochs have brought to their end so far, and the knowledge gradient (Frazier et al., 2008).
    `spent` is in trainings.
    """
    values = np.array(sorted((row.value or 0.0 for row in living(rows)), reverse=True))
    if len(values) < 3:
        return math.inf, 0.0
    fit = _fit([[value] for value in values], (), images)
    with np.errstate(invalid="ignore"):  # nan where all values are equal, and then no promise is the smaller one
        spread = fit.deviation[:, 0] ** 2 / (1 - fit.own[:, 0])
    noise = spread * (1 - fit.own[:, 0]) / fit.own[:, 0]
    mean, left = fit.mean, fit.deviation[:, 0] ** 2
    new = _expected_above(mean[:, 0] - fit.centre, np.sqrt(spread * fit.own[:, 0]))
    seed = _expected_above(mean[:, 0] - mean[:, 1], left / np.sqrt(left + noise))
    return float(fit.weight @ new) * len(values) / spent, float(fit.weight @ seed)


def _expected_above(gap: Array, deviation: Array) -> Array:
    """Return the expected excess of N(0, `deviation`^2) over `gap`."""
    z = gap / deviation
    return np.asarray(deviation * (np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) - z * stats.norm.sf(z)))


def run(task: str, rows: str, kind: str, sampler: str, seed: int) -> dict[str, Any]:
    """Every way at every budget on one search, as a line of the file that is kept."""
    world = DrawnWorld(_pool(task, rows), np.random.default_rng(seed), wide=kind == "wide")
    one = Simulated(world, sampler, seed)
    ways = {name: {str(budget): asdict(way(one, budget)) for budget in BUDGETS} for name, way in WAYS.items()}
    return {"task": task, "rows": rows, "kind": kind, "sampler": sampler, "seed": seed, "ways": ways}


@cache
def _pool(task: str, rows: str) -> Pool:
    return Pool(table_of(task), rows)


def tables(lines: Sequence[dict[str, Any]], against: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a budget and way: its gain over all on the search of `against`, paired by seed."""
    found = []
    for budget in map(str, BUDGETS):
        theirs = np.array([line["ways"][ALL][budget]["score"] for line in against]) / 100
        for name in WAYS:
            some = [line["ways"][name][budget] for line in lines]
            ours = np.array([one["score"] for one in some]) / 100
            same = name == ALL and lines is against
            found.append({
                **{key: lines[0][key] for key in ("task", "rows", "sampler")}, "world": lines[0]["kind"],
                "budget": budget, "way": name, "searched": f"{np.mean([one['searched'] for one in some]):.1f}",
                "raced": f"{np.mean([one['raced'] for one in some]):.1f}", "score": f"{100 * ours.mean():.2f}",
                "gain": "-" if same else str(gain(ours, theirs)),
                "mean": float(100 * (ours - theirs).mean()),
            })  # fmt: skip
    return found


def over_tasks(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean gain of each way with the task as the unit, and a t interval over tasks."""
    found = []
    for kind, sampler, budget, way in dict.fromkeys((x["world"], x["sampler"], x["budget"], x["way"]) for x in lines):
        key = (kind, sampler, budget, way)
        each = [x["mean"] for x in lines if (x["world"], x["sampler"], x["budget"], x["way"]) == key]
        if len(each) > 1:
            half = float(stats.t.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) / len(each) ** 0.5)
            text = f"{np.mean(each):+.2f} ({np.mean(each) - half:+.2f} to {np.mean(each) + half:+.2f})"
            found.append({"world": kind, "sampler": sampler, "budget": budget, "way": way, "gain": text})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--half", choices=[TUNING, CONFIRMING], default=TUNING, help="of digits-schedules")
    parser.add_argument("--searches", type=int, default=SEARCHES)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = [json.loads(line) for line in options.keep.read_text().splitlines()] if options.keep.exists() else []
    known = {(one["task"], one["rows"], one["kind"], one["sampler"], one["seed"]): one for one in kept}
    rows_of, lines = {task: options.half if rows == TUNING else rows for task, rows in TABLES.items()}, []
    for kind, sampler in (("drawn", "random"), ("drawn", "tpe"), ("wide", "random")):
        for task in options.tasks:
            cells = {}
            for name in ("random", sampler):  # what is compared is random with halving
                keys = [(task, rows_of[task], kind, name, FIRST_SEED + number) for number in range(options.searches)]
                for key in keys:
                    if key not in known:
                        known[key] = run(*key)
                        with options.keep.open("a") as file:
                            file.write(json.dumps(known[key]) + "\n")
                cells[name] = [known[key] for key in keys]
            lines += tables(cells[sampler], cells["random"])
            print_table(lines[-len(WAYS) * len(BUDGETS) :])
    results: dict[str, Any] = {"searches": options.searches, "cells": lines}
    if means := over_tasks(lines):
        print_table(means)
        results["over tasks"] = means
    write_results("turning" if options.half == TUNING else f"turning-{options.half}", results)


if __name__ == "__main__":
    main()
