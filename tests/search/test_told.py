"""What a sampler is told of a configuration is what that configuration reached; none is trained twice; the end comes.

Studies of every kind run through the real driver, recorder and samplers, several trials at once and some of them
interrupted. What trains stands here: each configuration has values, seconds and an end of its own, so that a value
says whose it is.
"""

import hashlib
import itertools
import json
import random
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from hw2tune.events import Listeners
from hw2tune.loggers import optuna_silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.algorithms import SAMPLERS, build_pruner, build_sampler
from hw2tune.search.design import UnitPoint, coordinates
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, RunEnd, StudyDriver, Wait
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import parse_study
from hw2tune.study.hyperparameters import identity
from hw2tune.study.schema import Study

EPOCHS = 3
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
BY_ITSELF = ("diverged", "out of memory", "failed")
FAILURES = [Failure(state=state, reason=f"{state}: it was so", machine="a") for state in (*BY_ITSELF, "lost")]
SOON = {
    "tpe": {"n_startup_trials": 3}, "gp": {"n_startup_trials": 3},
    "cmaes": {"n_startup_trials": 2}, "nsga2": {"population_size": 4},
}  # fmt: skip  # what makes a sampler learn from its first trials on
LEARNS_FROM_OTHERS = ("tpe", "gp")
EXAMPLES = {"tpe": 30, "random": 10, "qmc": 10, "grid": 10, "cmaes": 10, "nsga2": 20}  # gp takes seconds


# What is trained.


def chance(configuration: Mapping[str, Any], what: str) -> float:
    """A number in [0, 1) that is this configuration's own."""
    text = repr((what, identity(configuration)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def value(configuration: Mapping[str, Any], epoch: int) -> float:
    return (0.1 + 0.8 * chance(configuration, "value")) * (1 - 0.5**epoch)


@dataclass
class Training:
    """All that is true of a configuration."""

    configuration: dict[str, Any]
    trials: set[int] = field(default_factory=set)
    values: dict[int, float] = field(default_factory=dict)  # by epoch
    epoch: int = 0

    def fails(self, epoch: int, share: float) -> Failure | None:
        kind = chance(self.configuration, "failure")
        at = 1 + int(EPOCHS * chance(self.configuration, "epoch"))
        return FAILURES[int(len(FAILURES) * kind / share)] if kind < share and epoch == at else None

    def record(self, epoch: int) -> dict[str, Any]:
        return {
            "epoch": epoch, "validation_accuracy": value(self.configuration, epoch), DIGEST: digest(b"%d" % epoch),
            "epoch_seconds": 1 + chance(self.configuration, "seconds"),
            "parameters": int(1e6 * chance(self.configuration, "parameters")),
        }  # fmt: skip

    def second(self, name: str | None) -> list[float]:
        seconds = sum(self.record(epoch)["epoch_seconds"] for epoch in self.values)
        return [] if name is None else [seconds if name == "seconds" else self.record(1)["parameters"]]


# The studies.


@dataclass
class Case:
    """A study and the circumstances of its run."""

    study: Study
    slots: int
    seed: int
    interrupted_after: int  # steps
    failing: float  # share of configurations
    warm: list[dict[str, Any]]

    def __repr__(self) -> str:
        kept = {"name", "dataset", "model", "max_epochs", "code"}
        return f"{self.slots=} {self.seed=} {self.interrupted_after=} {self.failing=} {self.warm=} " + tomli_w.dumps(
            self.study.model_dump(exclude=kept, exclude_none=True, exclude_defaults=True)
        )


RATES = [[0.01], [0.01, 0.1], [0.001, 0.01, 0.1], {"low": 1e-4, "high": 0.1, "log": True}]
BATCHES = [[32], [16, 32], {"low": 16, "high": 70, "step": 16, "integer": True}]
MOMENTA = [[0.0, 0.9], [0.5], {"low": 0.0, "high": 0.9}]
DECAYS = [[0.0, 1e-4], {"low": 1e-6, "high": 0.1, "log": True, "or_zero": True}]
COORDINATE = st.sampled_from([0.0, 0.3, 0.6, 0.9])


@st.composite
def contents(draw: st.DrawFn, sampler: str) -> dict[str, Any]:
    """[training] and [space] of a study that the sampler can search: finite or not, with conditions or without."""

    def suits(one: Any) -> bool:
        if sampler == "grid":
            return isinstance(one, list | str) or "integer" in one
        return (
            sampler != "cmaes"
            or isinstance(one, str)
            or (len(one) == 1 if isinstance(one, list) else "or_zero" not in one)
        )

    def one_of(*options: Any) -> Any:
        return draw(st.sampled_from([one for one in options if suits(one)]))

    training: dict[str, Any] = {}
    space: dict[str, Any] = {"learning_rate": one_of(*RATES), "batch_size": one_of(*BATCHES)}
    optimizer = one_of("sgd", "adam", ["sgd", "adam"], ["adam", "adamw"])
    (training if isinstance(optimizer, str) else space)["optimizer"] = optimizer
    if "sgd" in optimizer and draw(st.booleans()):
        momentum = one_of(*MOMENTA)
        when = {} if optimizer == "sgd" else {"when": {"optimizer": "sgd"}}
        space["momentum"] = (momentum if isinstance(momentum, dict) else {"choices": momentum}) | when
    if draw(st.booleans()):
        training["label_smoothing"] = draw(st.sampled_from([0.0, 0.1]))
    if sampler == "cmaes":
        return {"training": training, "space": space}
    if optimizer == "sgd" and "momentum" in space and draw(st.booleans()):
        space["nesterov"] = [False, True]
    if draw(st.booleans()):
        space["weight_decay"] = one_of(*DECAYS)
    if draw(st.booleans()):
        space |= {"schedule": ["constant", "cosine"], "warmup": [0.0, 0.1]}
    return {"training": training, "space": space}


@st.composite
def cases(draw: st.DrawFn, sampler: str) -> Case:
    content = draw(contents(sampler)) | {
        "name": "told", "dataset": "synthetic-mnist", "model": "mnist_cnn", "max_epochs": EPOCHS,
        "validation_size": 100, "trials": draw(st.integers(3, 14)),
        "pruner": {"name": draw(st.sampled_from(["none", "halving"])), "reduction_factor": 2},
    }  # fmt: skip
    bare = parse_study(tomli_w.dumps(content), "x.toml")

    def points(least: int, most: int) -> list[dict[str, Any]]:
        names = coordinates(bare.search_space)
        point = st.fixed_dictionaries(dict.fromkeys(names, COORDINATE))
        drawn = draw(st.lists(point, min_size=least, max_size=most))
        return [bare.search_space.suggest(UnitPoint(one)) for one in drawn]

    given = points(0, 3)
    for one in given:
        if "label_smoothing" not in bare.space and draw(st.booleans()):
            one["label_smoothing"] = 0.05  # what the space cannot draw
    references, queue = given[:2], given[2:]
    queue += draw(st.lists(st.sampled_from([*given, *points(1, 2)]), max_size=2))
    content |= {"references": {f"r{number}": one for number, one in enumerate(references)}, "enqueue": queue}
    if sampler == "nsga2":
        content["second_objective"] = draw(st.sampled_from(["seconds", "parameters"]))
    content["sampler"] = {"name": sampler, "arguments": SOON.get(sampler, {})}
    return Case(
        study=parse_study(tomli_w.dumps(content), "x.toml"),
        slots=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 99)),
        interrupted_after=draw(st.sampled_from([5, 15, 99])),
        failing=draw(st.sampled_from([0.01, 0.3])),
        warm=points(1, 3) if sampler in LEARNS_FROM_OTHERS and draw(st.booleans()) else [],
    )


# The run.


def spying(kind: type, asks: list[list[FrozenTrial]]) -> type:
    """The sampler, which notes what it is told whenever it is asked."""

    class Spy(kind):
        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
            asks.append([one for one in study.get_trials() if one.number != trial.number])
            return super().infer_relative_search_space(study, trial)

    return Spy


class Run:
    """A case's run, with all that was trained."""

    def __init__(self, case: Case, root: Path) -> None:
        self.case, self.study, self.folder = case, case.study, StudyFolder(root / "told")
        self.folder.root.mkdir()
        self.trainings: dict[Any, Training] = {}
        self.asks: list[list[FrozenTrial]] = []
        self.chance = random.Random(case.seed)
        self.warm = {self.kind(one): chance(one, "elsewhere") for one in case.warm}
        if case.warm:
            content = {"observations": [{"params": one, "value": self.warm[self.kind(one)]} for one in case.warm]}
            (self.folder.root / "warm-start.json").write_text(json.dumps(content))

    def kind(self, configuration: Mapping[str, Any]) -> Any:
        return identity(self.study.complete(configuration))

    def driver(self) -> StudyDriver:
        recorder = Recorder(self.study, create_optuna_study(self.folder, self.study), self.folder, Listeners())
        recorder.enqueue_references()
        recorder.optuna_study.sampler = build_sampler(self.study, len(recorder.trials()))
        recorder.optuna_study.pruner = build_pruner(self.study)
        return StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=Listeners())

    def to_its_end(self) -> RunEnd | None:
        """Runs the study, interrupted once; the reason if it is not complete."""
        name, (kind, defaults) = self.study.sampler.name, SAMPLERS[self.study.sampler.name]
        with pytest.MonkeyPatch.context() as changed:
            changed.setitem(SAMPLERS, name, (spying(kind, self.asks), defaults))
            for steps in (self.case.interrupted_after, 10_000):
                one, live = self.driver(), {}
                for _ in range(steps):
                    given = one.next() if len(live) < self.case.slots else Wait()
                    if isinstance(given, Assignment):
                        self.check_told(one.recorder)
                        live[given.trial] = self.begin(one, given)
                    elif live:
                        self.epoch(one, live, self.chance.choice(list(live)))
                    else:
                        one.close_deferred()
                        return one.end
        raise AssertionError("the study does not end")

    def begin(self, one: StudyDriver, given: Assignment) -> Training:
        training = self.trainings.setdefault(identity(given.hyperparameters), Training(given.hyperparameters))
        training.trials.add(given.trial)
        training.epoch = int(given.checkpoint or 0)
        if training.epoch:
            one.resumed(given.trial, [training.record(epoch) for epoch in range(1, training.epoch + 1)])
        return training

    def epoch(self, one: StudyDriver, live: dict[int, Training], trial: int) -> None:
        training = live[trial]
        training.epoch += 1
        failure = training.fails(training.epoch, self.case.failing)
        if failure is None:
            record = training.record(training.epoch)
            training.values[training.epoch] = record["validation_accuracy"]
            verdict = one.epoch(trial, EpochResult(record=record, checkpoint=b"%d" % training.epoch))
        if failure is not None or verdict is Decision.STOP:
            del live[trial]
            one.ended(trial, Outcome(failure=failure, machine="a"))

    # What is held.

    def check_told(self, recorder: Recorder) -> None:
        ended = {one.number: one for one in recorder.trials() if one.state.is_finished()}
        there = {kind: ended.get(max(training.trials)) for kind, training in self.trainings.items()}
        failed = {kind for kind, one in there.items() if one and one.user_attrs.get("state") in BY_ITSELF}
        well = {kind for kind, one in there.items() if one and one.state in (TrialState.COMPLETE, TrialState.PRUNED)}
        for told in self.asks:
            values = {
                kind: one.values
                for one in told
                if one.number >= 0 and (kind := self.told_kind(one)) and one.values and kind not in failed
            }
            warm = [one.values[0] for one in told if one.number < 0]
            known = [*(value[0] for value in values.values()), *warm]
            elsewhere = [self.warm[self.kind(one)] for one in self.case.warm]
            assert [one < other for one, other in itertools.permutations(elsewhere, 2)] == [
                one < other for one, other in itertools.permutations(warm, 2)
            ], "another study's trials are told in another order"
            for one in told:
                kind = self.told_kind(one)
                if kind is None or one.state == TrialState.FAIL or one.number < 0:
                    continue
                assert kind in self.trainings, "told of a configuration that was never trained"
                if kind in failed and self.study.sampler.name == "tpe":
                    told_as = (one.state, one.values, one.intermediate_values)
                    assert told_as == (TrialState.PRUNED, None, {}), "a trial that failed is not behind all others"
                elif kind in failed and not one.state.is_finished():
                    assert not known, "a trial that failed is told as running"
                elif kind in failed:
                    assert one.values[0] == min(known), "a trial that failed is not told as the worst"
                else:
                    self.check_values(one, self.trainings[kind])
            if self.study.second_objective:
                well = {kind for kind in well if there[kind].state == TrialState.COMPLETE}
            finished = {self.told_kind(one) for one in told if one.state.is_finished() and one.state != TrialState.FAIL}
            assert finished >= {kind for kind in well if self.can_be_drawn(kind)}, "told nothing of a trial that ended"
            if well and known:
                assert finished >= {kind for kind in failed if self.can_be_drawn(kind)}, (
                    "told nothing of a failed trial"
                )
        self.asks.clear()

    def check_values(self, told: FrozenTrial, training: Training) -> None:
        assert told.intermediate_values.items() <= training.values.items(), "told of another's epochs"
        if told.state == TrialState.COMPLETE:
            reached = [max(training.values.values()), *training.second(self.study.second_objective)]
            assert told.values == reached, "told of another's value"
        elif told.state == TrialState.PRUNED:
            assert told.values == [training.values[max(training.values)]], "told of another's value"

    def told_kind(self, told: FrozenTrial) -> Any:
        return self.kind(self.study.search_space.decode(told.params)) if told.params else None

    def can_be_drawn(self, kind: Any) -> bool:
        searched = {
            name: value for name, value in self.trainings[kind].configuration.items() if name in self.study.space
        }
        return self.kind(searched) == kind

    def check_end(self) -> None:
        twice = [one for one in self.trainings.values() if len(one.trials) > 1]
        assert not twice, f"trained twice: {twice}"
        size = len(possible) if (possible := all_kinds(self.study)) is not None else self.study.trials
        assert len(self.trainings) == min(self.study.trials, size), "the study does not end where it should"


def all_kinds(study: Study) -> set[Any] | None:
    """Every configuration that a study can train, one by one; None if they are without number."""
    values: dict[str, list[Any]] = {}
    for name, one in study.space.items():
        content = one.model_dump()
        if "choices" not in content and not content.get("integer"):
            return None
        values[name] = content.get("choices") or list(range(content["low"], content["high"] + 1, content["step"]))
    kinds = set()
    for drawn in itertools.product(*values.values()):
        one = dict(zip(values, drawn, strict=True))
        for name, other in study.space.items():
            if any(one.get(on) != condition for on, condition in other.when.items()):
                del one[name]
        kinds.add(identity(study.complete(one)))
    return kinds | {identity(study.complete(one)) for one in [*study.references.values(), *study.enqueue]}


def hold(case: Case) -> None:
    with optuna_silenced(), warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=MEMORY) as root:
        warnings.simplefilter("ignore")  # Optuna's own, of experimental samplers
        run = Run(case, Path(root))
        if run.to_its_end() is None:
            run.check_end()


def holds(sampler: str, examples: int) -> None:
    circumstances = settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    circumstances(given(cases(sampler))(hold))()


@pytest.mark.parametrize("sampler", EXAMPLES)
def test_a_sampler_is_told_what_each_configuration_reached_and_none_is_trained_twice(sampler):
    holds(sampler, EXAMPLES[sampler])


@pytest.mark.matrix
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_holds_of_many_more_studies(sampler):
    holds(sampler, 20 if sampler == "gp" else 300)
