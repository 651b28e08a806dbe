"""Which trials a rung should compare: `python -m benchmarks.rungs` and `--world invented`. Nothing is trained.

Searches of one worker are replayed on two worlds with schedules: the tuning half of `digits-schedules`, and invented
curves on the space and rungs of `studies/cifar10-plus.toml`, whose gain comes as the rate falls (one_cycle 3 points,
cosine 2). A rule's searches are paired by seed with those of the same sampler under the first rule; with `--told`, a
sampler's with those of `tpe` under the shipped rule. A search returns its best validation value; it is scored by
seeds that it has not seen, or by the invented truth.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmarks.replay.draws import drawn, told
from benchmarks.replay.pool import Pool
from benchmarks.replay.scoring import gain
from benchmarks.replay.table import key_of, table_of
from benchmarks.results import print_table, write_results
from hw2tune.records.trials.rows import LABEL, STATE
from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.design import UnitPoint, coordinates
from hw2tune.search.halving import HalvingPruner
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters, Value, rising_share
from hw2tune.study.schema import Study
from hw2tune.train.optimizers import schedule_of

BUDGETS = (6, 12, 24)  # trainings; all are read off one search
STEPS = 100  # of an epoch of an invented curve
SCHEDULES = ("constant", "cosine", "one_cycle")


@dataclass(kw_only=True)
class Trained:
    """A trial of a replayed search."""

    configuration: Mapping[str, Value]
    label: str = ""
    values: list[float] = field(default_factory=list)
    complete: bool = False
    diverged: bool = False

    def best(self, epoch: int) -> float:
        """The best value of the first epochs."""
        return max(self.values[:epoch], default=-math.inf)


class Rule(Protocol):
    """Whether a trial is stopped behind the epoch that it has just ended; `others` were trained before it."""

    def __call__(self, study: Study, one: Trained, others: Sequence[Trained]) -> bool: ...


Ends = Rule  # the same for the end of a trial that then is complete


def to_the_end(study: Study, one: Trained, others: Sequence[Trained]) -> bool:
    """No trial is stopped."""
    return False


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Trials of the same `within` are compared, or go on where fewer than `least` others are alike.

    `after_warmup`: no rung while the rate still rises.
    """

    within: tuple[str, ...] = ()
    after_warmup: bool = False
    least: int = 3
    else_all: bool = False  # with too few alike a trial is compared with all, and does not go on

    def __call__(self, study: Study, one: Trained, others: Sequence[Trained]) -> bool:
        epoch, places = len(one.values), study.rungs
        if epoch not in places or (self.after_warmup and rises(one, epoch, study)):
            return False
        before = max((place for place in places if place < epoch), default=0)
        came = []
        for other in others:
            if not (self.after_warmup and rises(other, epoch, study)):
                if other.diverged:
                    came += [(other, -math.inf)] if len(other.values) >= before else []
                elif len(other.values) >= epoch:
                    came.append((other, other.best(epoch)))
        alike = [value for other, value in came if self._kind(other) == self._kind(one)]
        if self.within and len(alike) < self.least:
            if not self.else_all:
                return False
            alike = [value for _, value in came]
        better = sum(value > one.best(epoch) for value in alike)
        return better >= max(1, (len(alike) + 1) // study.pruner.reduction_factor)

    def _kind(self, one: Trained) -> list[Value | None]:
        return [one.configuration.get(name) for name in self.within]


def rises(one: Trained, epoch: int, study: Study) -> bool:
    """Whether a trial's rate still rises at the end of an epoch."""
    hp = Hyperparameters.of(one.configuration)
    return epoch < rising_share(hp.schedule, hp.warmup) * study.max_epochs


def shipped(study: Study, one: Trained, others: Sequence[Trained]) -> bool:
    """The pruner of hw2tune itself."""
    if len(one.values) not in study.rungs:
        return False
    pruner = HalvingPruner(
        study=study, min_epochs=study.pruner.min_epochs, reduction_factor=study.pruner.reduction_factor
    )
    stored: list[Any] = [_stored(study, number, some) for number, some in enumerate([*others, one])]
    storage: Any = SimpleNamespace(direction=StudyDirection.MAXIMIZE, get_trials=lambda deepcopy: stored)
    return pruner.prune(storage, stored[-1])


def _stored(study: Study, number: int, one: Trained) -> SimpleNamespace:
    """A trial as the pruner reads it from Optuna's storage."""
    state = TrialState.COMPLETE if one.complete else TrialState.FAIL if one.diverged else TrialState.PRUNED
    return SimpleNamespace(
        number=number, state=state, params=study.search_space.encode(_searched(study, one)), last_step=len(one.values),
        intermediate_values=dict(enumerate(one.values, start=1)),
        user_attrs={LABEL: one.label} if one.label else {STATE: DIVERGED} if one.diverged else {},
    )  # fmt: skip


def _searched(study: Study, one: Trained) -> dict[str, Value]:
    return {name: value for name, value in one.configuration.items() if name in study.space}


SHIPPED = "rising rates apart (shipped)"
RULES: dict[str, Rule] = {
    "all trials, as before": Halving(),
    "to the end": to_the_end,
    "within schedule": Halving(within=("schedule",)),
    "within schedule, else all": Halving(within=("schedule",), else_all=True),
    "after warm-up": Halving(after_warmup=True),
    "within schedule, after warm-up": Halving(within=("schedule",), after_warmup=True),
    SHIPPED: shipped,
}


class World(Protocol):
    """Where a search takes place."""

    study: Study

    def begin(self, seed: int) -> None: ...
    def nearest(self, configuration: Mapping[str, Value]) -> Mapping[str, Value]: ...
    def curve(self, configuration: Mapping[str, Value]) -> Iterator[float | None]: ...
    def score(self, configuration: Mapping[str, Value]) -> float: ...


class Measured:
    """Rows of a table: a draw becomes the nearest that is not taken."""

    def __init__(self, task: str, rows: str) -> None:
        self.pool = Pool(table_of(task), rows)
        self.study = self.pool.task.study

    def begin(self, seed: int) -> None:
        self.pool.begin(seed)
        self.rng = np.random.default_rng(seed)
        self.taken = {self.pool.row_of[key_of(one)] for one in self.study.references.values()}

    def nearest(self, configuration: Mapping[str, Value]) -> Mapping[str, Value]:
        row = self.pool.nearest(configuration, self.taken)
        self.taken.add(row)
        return self.pool.configurations[row]

    def curve(self, configuration: Mapping[str, Value]) -> Iterator[float | None]:
        curve = self.pool.curve(configuration, self.rng)
        return (curve.at(epoch) for epoch in range(1, self.study.max_epochs + 1))

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self.pool.score(configuration)


GAINS = {"constant": 0.0, "cosine": 0.02, "one_cycle": 0.03}  # of an invented curve, as the rate falls


class Invented:
    """Curves whose progress is with the square root of the rate, and whose gain comes as the rate falls."""

    def __init__(self) -> None:
        self.study = parse_study(*find_study("cifar10-plus"))

    def begin(self, seed: int) -> None:
        self.rng = np.random.default_rng([7, seed])

    def nearest(self, configuration: Mapping[str, Value]) -> Mapping[str, Value]:
        return self.study.complete(configuration)

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self._level(configuration) + GAINS[str(configuration["schedule"])]

    def _level(self, one: Mapping[str, Value]) -> float:
        """What a constant rate reaches."""
        low, high = (0.001, 0.003) if one["optimizer"] == "adamw" else (0.005, 0.02)
        rate, decay = math.log10(float(one["learning_rate"])), float(one["weight_decay"])
        off = max(0.0, math.log10(low) - rate, rate - math.log10(high))
        level = 0.665 - 0.06 * off**2 + 0.012 * (one["augment"] != "none")
        level += 0.01 * (float(one["label_smoothing"]) > 0.03) - 0.004 * (one["batch_size"] == 32)
        return level + 0.006 * (1e-4 < decay < 1e-2) - 0.02 * (decay > 3e-2)

    def curve(self, configuration: Mapping[str, Value]) -> Iterator[float | None]:
        schedule, end = str(configuration["schedule"]), self._level(configuration)
        speed = 6.0 if configuration["optimizer"] == "adamw" else 5.0
        luck, progress, peak = self.rng.normal(0, 0.005), 0.0, 0.0
        for mean, highest, last in _rates(schedule, self.study.max_epochs):
            progress, peak = progress + mean / self.study.max_epochs, max(peak, highest)
            value = 0.1 + (end - 0.1) * (1 - 0.55 * math.exp(-speed * progress) - 0.45 * math.exp(-25 * progress))
            value += GAINS[schedule] * ((1 - last) ** 2 if peak > 0.99 else 0.0)
            yield value + luck + self.rng.normal(0, 0.004)


@cache
def _rates(schedule: str, epochs: int) -> list[tuple[float, float, float]]:
    """By epoch the mean square root of the rate's factor, its largest and its last."""
    hp = Hyperparameters(learning_rate=1.0, batch_size=1, optimizer="adamw", schedule=schedule)
    factor = schedule_of(hp, epochs * STEPS) or (lambda step: 1.0)
    steps = [[factor(epoch * STEPS + step) for step in range(STEPS)] for epoch in range(epochs)]
    return [(float(np.mean(np.sqrt(one))), max(one), one[-1]) for one in steps]


Draw = Callable[[Sequence[Trained]], Mapping[str, Value]]


def random_draws(study: Study, seed: int) -> Draw:
    """Draws from the whole space."""
    rng, names = np.random.default_rng([3, seed]), list(coordinates(study.search_space))
    return lambda trained: study.search_space.suggest(
        UnitPoint(dict(zip(names, rng.random(len(names)).tolist(), strict=True)))
    )


def tpe(study: Study, seed: int, values: Callable[[Sequence[Trained]], list[float]] | None = None) -> Draw:
    """Draws of the shipped sampler, which is told of stopped trials as such, or of all as complete with `values`."""
    seeded = study.model_copy(update={"seed": seed})

    def seen(one: Trained, value: float) -> FrozenTrial:
        if values is None and not one.complete:
            return told(study, _searched(study, one), [] if one.diverged else one.values, TrialState.PRUNED)
        return told(study, _searched(study, one), [value], TrialState.COMPLETE)

    return lambda trained: drawn(seeded, map(seen, trained, (values or best_values)(trained)))


def best_values(trained: Sequence[Trained]) -> list[float]:
    """The best value so far; of a trial that diverged the worst of all."""
    worst = min((max(one.values) for one in trained if one.values and not one.diverged), default=0.0)
    return [worst if one.diverged or not one.values else max(one.values) for one in trained]


def ranks(trained: Sequence[Trained]) -> list[float]:
    """The share of the trials at its last epoch that a trial is not behind."""
    found = []
    for one in trained:
        epoch = 0 if one.diverged else len(one.values)
        there = [other.best(epoch) for other in trained if len(other.values) >= epoch]
        found.append(float(np.mean([value <= one.best(epoch) for value in there])) if epoch else 0.0)
    return found


def levelled(trained: Sequence[Trained]) -> list[float]:
    """The best value, with what complete trials of the schedule gained from there to the end on average.

    Of few it is drawn towards the mean over all schedules, with the weight of two trials.
    """
    values = best_values(trained)
    complete = [one for one in trained if one.complete]
    for place, one in enumerate(trained):
        if not one.complete and not one.diverged and one.values:
            gains = {id(some): max(some.values) - some.best(len(one.values)) for some in complete}
            own = [
                gains[id(some)]
                for some in complete
                if some.configuration.get("schedule") == one.configuration.get("schedule")
            ]
            overall = float(np.mean(list(gains.values()))) if gains else 0.0
            values[place] += (sum(own) + 2 * overall) / (len(own) + 2)
    return values


SAMPLERS: dict[str, Callable[[Study, int], Draw]] = {
    "random": random_draws,
    "tpe": tpe,
    "tpe, told best values": lambda study, seed: tpe(study, seed, best_values),
    "tpe, told ranks": lambda study, seed: tpe(study, seed, ranks),
    "tpe, told values at the end": lambda study, seed: tpe(study, seed, levelled),
}


@dataclass(kw_only=True)
class Replayed:
    """A search: its trials, and the score and schedule of what it would return at each budget."""

    trained: list[Trained] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    schedules: list[str] = field(default_factory=list)

    def returns(self, world: World) -> None:
        """Note what would be returned now."""
        best = max((one for one in self.trained if one.values and not one.diverged), key=lambda one: max(one.values))
        self.scores.append(world.score(best.configuration))
        self.schedules.append(str(best.configuration.get("schedule")))

    @property
    def drawn(self) -> list[Trained]:
        """Its trials without references."""
        return [one for one in self.trained if not one.label]


def replay(world: World, rule: Rule, draw: Draw, seed: int, *, ends_at: Ends = to_the_end) -> Replayed:
    """One search, its references first. The epoch in which a trial diverges is spent as well."""
    study, found, spent = world.study, Replayed(), 0
    ends = [budget * study.max_epochs for budget in BUDGETS]
    world.begin(seed)
    references = [Trained(configuration=study.complete(one), label=name) for name, one in study.references.items()]
    while spent < ends[-1]:
        others = list(found.trained)
        one = references.pop(0) if references else Trained(configuration=world.nearest(draw(others)))
        found.trained.append(one)
        for value in world.curve(one.configuration):
            spent += 1
            one.diverged = value is None
            one.values += [] if value is None else [value]
            if spent in ends:
                found.returns(world)
            if one.diverged:
                break
            one.complete = len(one.values) == study.max_epochs or (not one.label and ends_at(study, one, others))
            if one.complete or spent == ends[-1] or (not one.label and rule(study, one, others)):
                break
    return found


def line(world: World, some: Sequence[Replayed], before: Sequence[Replayed]) -> dict[str, Any]:
    """What searches return by budget, what they gain, and what share of each schedule passes each rung."""
    found: dict[str, Any] = {}
    scores, others = (np.array([one.scores for one in each]) for each in (some, before))
    for at, budget in enumerate(BUDGETS):
        found[f"{budget}"] = f"{100 * scores[:, at].mean():.2f}"
        found[f"gain {budget}"] = "-" if some is before else str(gain(scores[:, at], others[:, at]))
        found[f"one_cycle {budget}"] = f"{np.mean([one.schedules[at] == 'one_cycle' for one in some]):.0%}"
    drawn = [trial for one in some for trial in one.drawn]
    by_schedule = {name: [one for one in drawn if one.configuration["schedule"] == name] for name in SCHEDULES}
    for rung in world.study.rungs:
        came = {name: [one for one in there if len(one.values) >= rung] for name, there in by_schedule.items()}
        passed = [sum(len(one.values) > rung for one in there) / max(1, len(there)) for there in came.values()]
        found[f"passed {rung}"] = " / ".join(f"{share:.0%}" for share in passed)
    complete = [sum(one.complete for one in there) / len(some) for there in by_schedule.values()]
    return {**found, "complete": " / ".join(f"{count:.1f}" for count in complete)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=["digits-schedules", "invented"], default="digits-schedules")
    parser.add_argument("--rows", default="tuning", help="parts of the table, see benchmarks/replay/rows.py")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--told", action="store_true", help="what tpe is told of early values")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = [name for name in SAMPLERS if name.startswith("tpe") == options.told or name == "tpe"]
    rules = [SHIPPED] if options.told else list(RULES)
    invented = options.world == "invented"
    world: World = Invented() if invented else Measured(options.world, options.rows)
    lines: list[dict[str, Any]] = []
    first: list[Replayed] = []
    for sampler, name in itertools.product(samplers, rules):
        some = [replay(world, RULES[name], SAMPLERS[sampler](world.study, seed), seed) for seed in range(options.seeds)]
        first = some if not lines or (name == rules[0] and not options.told) else first
        lines.append({"sampler": sampler, "rule": name, **line(world, some, first)})
        print(lines[-1], flush=True)
    print_table(lines)
    where = "invented" if invented else f"{options.world}-{options.rows}"
    content = {"seeds": options.seeds, "schedules": SCHEDULES, "lines": lines}
    write_results(f"rungs-{where}{'-told' if options.told else ''}", content)


if __name__ == "__main__":
    main()
