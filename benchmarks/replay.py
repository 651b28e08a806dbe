"""Searches replayed on a table of learning curves, in simulated time and through hw2tune's own `StudyDriver`.

Two readings of a table, and none. `pool`: what a sampler draws becomes the nearest configuration of the table that was
not trained yet, so that every value is one that was measured. `forest`: a random forest over the table's curves answers
for any configuration, with the noise of a training that was repeated; no sampler here uses a forest. `live`: every
epoch is trained when it is asked for.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler

from benchmarks.search_tables import TASKS, Task, configurations, curve
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.design import Cube
from hw2tune.search.driver import Assignment, EpochResult, Outcome, StudyDriver, Verdict
from hw2tune.search.failures import Failure
from hw2tune.search.recorder import Recorder
from hw2tune.search.retries import FailurePolicy
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study

MEMORY = "/dev/shm"  # where a study's folder costs nothing
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


class World(Protocol):
    """Where a search takes place."""

    task: Task

    def begin(self) -> None: ...
    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler: ...
    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve | LiveCurve: ...
    def score(self, configuration: Mapping[str, Value]) -> float: ...
    def seconds(self, configuration: Mapping[str, Value]) -> float: ...
    @property
    def best_and_median(self) -> tuple[float, float]: ...


class Pool:
    """The table's own rows."""

    def __init__(self, table: Table) -> None:
        self.table, self.task = table, table.task
        self.rows = list(table.configurations)
        self.cube = Cube(self.task.study.search_space)
        self.features = self.cube.features(list(table.configurations.values()))
        self.row_of = {_key(one): row for row, one in reversed(table.configurations.items())}

    def begin(self) -> None:
        """A table has no state."""

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return PoolSampler(study, inner, self)

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve:
        row = self.row_of[_key(configuration)]
        seeds = [seed for r, seed in self.table.curves if r == row]
        return self.table.curves[row, seeds[rng.integers(len(seeds))]]

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.table.scores[self.row_of[_key(configuration)]]

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return self.table.epoch_seconds(configuration)

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """The best of the rows that were repeated, as one training's luck is no quality; the median of all."""
        repeated = {row for row, seed in self.table.curves if seed > 0 and row.isdigit()} or set(self.rows)
        scores = self.table.scores
        return max(scores[row] for row in repeated), float(np.median(list(scores.values())))


class PoolSampler(BaseSampler):
    """What `inner` draws, as the nearest configuration that no trial has had."""

    def __init__(self, study: Study, inner: BaseSampler, pool: Pool) -> None:
        self.study, self.inner, self.pool = study, inner, pool
        self.relative: dict[int, dict[str, Any]] = {}
        self.chosen: dict[int, dict[str, Any]] = {}
        self.taken = {pool.row_of[_key(one)] for one in study.references.values()}

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> Any:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
        self.relative[trial.number] = self.inner.sample_relative(study, trial, search_space)
        return {}

    def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if trial.number not in self.chosen:
            draws = _Draws(self.inner, study, trial, self.relative.get(trial.number, {}))
            drawn = self.pool.cube.features([self.study.search_space.suggest(draws)])[0]
            order = np.argsort(((self.pool.features - drawn) ** 2).sum(1), kind="stable")
            row = next(self.pool.rows[i] for i in order if self.pool.rows[i] not in self.taken)
            self.taken.add(row)
            self.chosen[trial.number] = self.study.search_space.encode(self.pool.table.configurations[row])
        return self.chosen[trial.number][param_name]


class _Draws:
    """What a sampler would suggest, without that a trial hears of it."""

    def __init__(self, inner: BaseSampler, study: optuna.Study, trial: Any, relative: dict[str, Any]) -> None:
        self.inner, self.study, self.trial, self.relative = inner, study, trial, relative

    def _draw(self, name: str, distribution: Any) -> Any:
        if name in self.relative:
            return self.relative[name]
        return self.inner.sample_independent(self.study, self.trial, name, distribution)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self._draw(name, optuna.distributions.FloatDistribution(low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._draw(name, optuna.distributions.IntDistribution(low, high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._draw(name, optuna.distributions.CategoricalDistribution(choices))


class Forest:
    """A random forest's curves, each with the residuals of a repeated training that ended about as well."""

    def __init__(self, table: Table) -> None:
        self.table, self.task = table, table.task
        self.cube = Cube(self.task.study.search_space)
        self.epochs = self.task.study.max_epochs
        rows = list(table.configurations)
        x, y = self.cube.features(list(table.configurations.values())), np.array([self._target(row) for row in rows])
        self.model = _forest().fit(x, y)
        self.cached: dict[Any, Array] = {}
        self.x, self.y = x, y

    def _target(self, row: str) -> Array:
        seeds = [c for (r, _), c in self.table.curves.items() if r == row]
        return np.mean(
            [
                np.concatenate([_logit(_padded(c.validation, self.epochs)), _logit(_padded(c.test, self.epochs))])
                for c in seeds
            ],
            0,
        )

    def quality(self) -> dict[str, float]:
        """Of rows that the forest has not seen (out of five folds): rank correlation with the truth, in points."""
        from scipy.stats import spearmanr
        from sklearn.model_selection import KFold, cross_val_predict

        guessed = cross_val_predict(_forest(), self.x, self.y, cv=KFold(5, shuffle=True, random_state=0))
        true, seen = (_accuracy(one[:, self.epochs :]).max(1) for one in (self.y, guessed))
        top = true >= np.quantile(true, 0.9)
        return {
            "spearman": float(spearmanr(true, seen)[0]),
            "spearman in the top decile": float(spearmanr(true[top], seen[top])[0]),
            "rmse in the top decile": float(np.sqrt(np.mean((true[top] - seen[top]) ** 2))),
        }

    def begin(self) -> None:
        """A table has no state."""

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def _mean(self, configuration: Mapping[str, Value]) -> tuple[Array, Array]:
        key = _key(configuration)
        if key not in self.cached:
            self.cached[key] = _accuracy(self.model.predict(self.cube.features([configuration]))[0])
        return self.cached[key][: self.epochs], self.cached[key][self.epochs :]

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Curve:
        validation, test = self._mean(configuration)
        near = sorted(self.table.residuals, key=lambda one: abs(one[0] - test[validation.argmax()]))[:40]
        _, more, more_test = near[rng.integers(len(near))]
        return Curve(validation=np.clip(validation + more, 0, 1), test=np.clip(test + more_test, 0, 1))

    def score(self, configuration: Mapping[str, Value]) -> float:
        validation, test = self._mean(configuration)
        return float(test[validation.argmax()])

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return self.table.epoch_seconds(configuration)

    @cached_property
    def best_and_median(self) -> tuple[float, float]:
        """Over the table's rows and 4,000 configurations more."""
        from hw2tune.search.design import space_filling

        more = space_filling(self.task.study.search_space, 4096, seed=1)
        guessed = _accuracy(self.model.predict(self.cube.features(more)))
        validation, test = guessed[:, : self.epochs], guessed[:, self.epochs :]
        scores = test[np.arange(len(test)), validation.argmax(1)]
        return float(max(scores.max(), max(self.score(one) for one in self.table.configurations.values()))), float(
            np.median(scores)
        )


class Live:
    """No table: every epoch is trained. A search's own trainings are its score, so that one alone says little."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.curves: dict[Any, LiveCurve] = {}

    def begin(self) -> None:
        """A search begins; what another has trained is not known to it."""
        self.curves = {}

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> LiveCurve:
        self.curves[_key(configuration)] = LiveCurve(self.task, configuration)
        return self.curves[_key(configuration)]

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.curves[_key(configuration)].chosen

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return 1.0

    @property
    def best_and_median(self) -> tuple[float, float]:
        """Those of the table, where there is one."""
        return world(self.task.name, "pool").best_and_median


class LiveCurve:
    """A training that goes on as far as it is asked for. All searches train on the study's seed, as trials do."""

    def __init__(self, task: Task, configuration: Mapping[str, Value]) -> None:
        self.task, self.epochs = task, curve(task, configuration, seed=0)
        self.seen: list[tuple[float, float]] = []  # validation and test accuracy

    def at(self, epoch: int) -> float | None:
        """Validation accuracy at the next epoch; None where it diverges."""
        assert epoch == len(self.seen) + 1
        measured = next(self.epochs)
        if measured["validation_correct"] == "":
            return None
        validation, test = SIZES[self.task.name]
        self.seen.append((measured["validation_correct"] / validation, measured["test_correct"] / test))
        return self.seen[-1][0]

    @property
    def chosen(self) -> float:
        """Test accuracy of the epoch that validation chooses, the first of equals; 0 where there is none."""
        return max(self.seen, key=lambda pair: pair[0])[1] if self.seen else 0.0


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(200, min_samples_leaf=1, random_state=0, max_features=0.7)


def _padded(curve: Array, epochs: int) -> Array:
    """A curve that ended early stays where it was, or at chance."""
    return np.concatenate([curve, np.full(epochs - len(curve), curve[-1] if len(curve) else 0.1)])


def _logit(accuracy: Array) -> Array:
    clipped = np.clip(accuracy, 0.01, 0.999)
    return np.log(clipped / (1 - clipped))


def _accuracy(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _key(configuration: Mapping[str, Value]) -> Any:
    return tuple(sorted(configuration.items()))


@cache
def world(task: str, kind: str) -> World:
    """The task's pool, forest or trainings, once a process."""
    if kind == "live":
        return Live(TASKS[task])
    table = Table(TASKS[task])
    return Pool(table) if kind == "pool" else Forest(table)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A search: its sampler and pruner for a study and a seed."""

    build: Callable[[Study, int], tuple[BaseSampler, Any]]
    any_state: bool = True  # whether a trial that was stopped may be returned
    longer: int = 1  # it may spend so many times the budget, to see when it finds what others find
    needs: str = ""  # a package that is no dependency of ours; without it the contestant is left out


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search would return once `epochs` are spent and `seconds` have passed."""

    epochs: int
    seconds: float
    score: float


def search(place: World, contestant: Contestant, *, seed: int, epochs: int, workers: int) -> list[Found]:
    """One search: an entry a change of what it returns."""
    task = place.task
    place.begin()
    study = task.study.model_copy(update={"trials": 100_000, "seed": seed})
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as root:
        folder = StudyFolder(Path(root) / "study")
        folder.root.mkdir()
        optuna_study, tell = create_optuna_study(folder, study), Listeners()
        recorder = Recorder(study, optuna_study, folder, tell)
        recorder.enqueue_references()
        sampler, optuna_study.pruner = contestant.build(study, seed)
        optuna_study.sampler = place.sampler(study, sampler)
        driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
        return _run(place, contestant, driver, recorder, rng, epochs, workers)


def _run(
    place: World,
    contestant: Contestant,
    driver: StudyDriver,
    recorder: Recorder,
    rng: np.random.Generator,
    budget: int,
    workers: int,
) -> list[Found]:
    found: list[Found] = []
    queue: list[
        tuple[float, int, int, int, Curve | LiveCurve, float]
    ] = []  # time, tie, trial, epoch about to end, curve, seconds
    spent = ties = 0

    def give(now: float) -> None:
        nonlocal ties
        given = driver.next()
        if isinstance(given, Assignment):
            ties += 1
            each = place.seconds(given.hyperparameters)
            heapq.heappush(queue, (now + each, ties, given.trial, 1, place.curve(given.hyperparameters, rng), each))

    for _ in range(workers):
        give(0.0)
    while queue and spent < budget:
        now, tie, trial, epoch, curve, each = heapq.heappop(queue)
        spent += 1
        accuracy = curve.at(epoch)
        if accuracy is None:
            reason = f"diverged in epoch {epoch}"
            driver.ended(trial, Outcome(failure=Failure(state="diverged", reason=reason)))
            give(now)
            continue
        record = {
            "epoch": epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
            "validation_accuracy": accuracy, "train_seconds": each, "epoch_seconds": each, "images_per_second": 1.0,
        }  # fmt: skip
        verdict = driver.epoch(trial, EpochResult(record=record, checkpoint=b""))
        if verdict is Verdict.CONTINUE:
            heapq.heappush(queue, (now + each, tie, trial, epoch + 1, curve, each))
        else:
            driver.ended(trial, Outcome())
            give(now)
        found.append(Found(epochs=spent, seconds=now, score=place.score(_pick(recorder.rows(), contestant))))
    return found


def _pick(rows: list[TrialRow], contestant: Contestant) -> dict[str, Value]:
    """The configuration of the best value, the first of equals."""
    there = [row for row in rows if row.value is not None]
    complete = [row for row in there if row.state == "complete"]
    return max(complete if complete and not contestant.any_state else there, key=lambda row: row.value or 0.0).params
