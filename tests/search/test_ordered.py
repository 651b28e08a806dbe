"""The same study twice is the same study: whatever ends first, whoever is killed, and however many workers serve it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from hw2tune.errors import StudyFileError
from hw2tune.events import Listeners
from hw2tune.records.arrays import read_npz
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import this_process
from hw2tune.records.overview import Overview
from hw2tune.records.trials import storage
from hw2tune.records.trials.epochs import DIGEST, digest, find_checkpoint, read_epochs
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.search import recorder as recording
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, RunEnd, StudyDriver, Wait
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.order import awaited
from hw2tune.search.ordered import OrderedDriver
from hw2tune.search.recorder import Recorder, Weights
from hw2tune.study.file import differences, parse_study
from hw2tune.study.objectives import SECONDS
from hw2tune.study.schema import Study
from hw2tune.terminal.tables import status_title

SPACES = {
    "numbers": 'learning_rate = { low = 1e-4, high = 1e-1, log = true }\nbatch_size = [16, 32, 64]\noptimizer = "sgd"',
    "condition": (
        'learning_rate = { low = 1e-3, high = 1e-1, log = true }\nbatch_size = 32\noptimizer = ["sgd", "adamw"]\n'
        'momentum = { low = 0.0, high = 0.9, when = { optimizer = "sgd" } }'
    ),
    "few": 'learning_rate = [0.001, 0.003, 0.01]\nbatch_size = [16, 32, 64]\noptimizer = "sgd"',
}
SAMPLERS = ("tpe", "tpe", "random", "qmc", "grid")  # what learns twice as often
SOON = {"tpe": "n_startup_trials = 3"}  # so that it learns in so few trials
PRUNERS = ("halving", "median", "percentile", "none")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small study, and how often its configurations fail."""

    sampler: str = "tpe"
    pruner: str = "halving"
    space: str = "numbers"
    slots: int = 2
    seed: int = 0
    trials: int = 8
    max_epochs: int = 5
    budget: int | None = None
    patience: int | None = None
    reference: bool = True
    failing: float = 0.0
    saved: int = 1  # epochs from one checkpoint to the next

    @property
    def study(self) -> Study:
        text = (
            'name = "mine"\ndataset = "synthetic-mnist"\nmodel = "mnist_cnn"\nvalidation_size = 100\n'
            f'order = "virtual"\nslots = {self.slots}\nseed = {self.seed}\n'
            f"max_epochs = {self.max_epochs}\ntrials = {self.trials}\n"
            + (f"budget = {self.budget}\n" if self.budget else "")
            + f'[sampler]\nname = "{self.sampler}"\narguments = {{ {SOON.get(self.sampler, "")} }}\n'
            f'[pruner]\nname = "{self.pruner}"\nreduction_factor = 2\n'
            + (f"patience = {self.patience}\n" if self.patience else "")
            + f"[space]\n{SPACES[self.space]}\n"
        )
        if self.reference:
            text += '[references.published]\nlearning_rate = 0.01\nbatch_size = 32\noptimizer = "sgd"\n'
        if self.reference and self.space == "condition":
            text += "momentum = 0.5\n"
        return parse_study(text, "mine.toml")


class Killed(BaseException):
    """`kill -9` of the driver's process."""


@contextmanager
def killed_after(writes: float) -> Iterator[None]:
    """Raise Killed before or after one of the writes within."""
    left = writes

    def one_less() -> None:
        nonlocal left
        if left <= 0:
            raise Killed
        left -= 1

    def dying(function: Any) -> Any:
        def write(*arguments: Any, **more: Any) -> Any:
            one_less()
            result = function(*arguments, **more)
            one_less()
            return result

        return write

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(storage._Backend, "append_logs", dying(storage._Backend.append_logs))
        changed.setattr(storage.JournalFileBackend, "append_logs", dying(storage.JournalFileBackend.append_logs))
        files = ("append_epoch", "write_checkpoint", "write_epochs", "write_weights", "drop_checkpoints")
        for name in (*files, "write_atomically"):
            changed.setattr(recording, name, dying(getattr(recording, name)))
        yield


def chance(*key: object) -> float:
    return int(hashlib.sha256(repr(key).encode()).hexdigest()[:8], 16) / 2**32


@dataclass
class Run:
    """Processes one after the other that run a case, and the workers that train for them in an order of `rng`'s."""

    case: Case
    root: Path
    workers: int = 1
    rng: random.Random | None = None
    lost: float = 0.0  # chance that a worker dies
    driver_class: type[StudyDriver] = OrderedDriver
    trained: int = 0  # epochs
    end: RunEnd | None = None
    ended: bool = field(default=False)

    def __post_init__(self) -> None:
        self.study, self.folder = self.case.study, StudyFolder(self.root)
        self.root.mkdir(exist_ok=True)

    def driver(self) -> StudyDriver:
        recorder = Recorder(self.study, create_optuna_study(self.folder, self.study), self.folder, Listeners())
        recorder.enqueue_references()
        recorder.optuna_study.sampler = build_sampler(self.study, len(recorder.trials()))
        recorder.optuna_study.pruner = build_pruner(self.study)
        return self.driver_class(
            recorder=recorder, policy=FailurePolicy(retries=10**6 if self.lost else 2), tell=Listeners()
        )

    def to_its_end(self, kills: Sequence[int] = ()) -> Run:
        for writes in [*kills, float("inf")]:
            try:
                with killed_after(writes):
                    self.process()
                return self
            except Killed:
                pass
        raise AssertionError

    def process(self) -> None:
        one, workers = self.driver(), dict[int, dict[str, Any]]()
        while True:
            while len(workers) < self.workers and isinstance(given := one.next(), Assignment):
                state = json.loads(bytes(given.checkpoint or b'{"epoch": 0}'))
                workers[given.trial] = state | {"params": given.hyperparameters, "told": not state["epoch"]}
            if not workers or one.end is not None:
                self.end = one.end
                if self.end is None:
                    one.close_deferred()
                return
            trial = self.rng.choice(list(workers)) if self.rng else min(workers)
            if self.works(one, trial, workers[trial]):
                del workers[trial]

    def works(self, one: StudyDriver, trial: int, state: dict[str, Any]) -> bool:
        """Let a worker send its next result; return whether it is free."""
        if self.rng and self.rng.random() < self.lost:
            failure = Failure(state="lost", reason="lost: its worker died", transient=True, worker_died=True)
        elif not state["told"]:
            state["told"] = True
            known = read_epochs(self.folder.trial(trial))
            before = [line for line in known if line["epoch"] <= state["epoch"]]
            decision = one.resumed(trial, before, weights_of(state))
            return self.stopped(one, trial, decision)
        else:
            self.trained += 1
            state["epoch"] += 1
            failure = self.failure(state)
        if failure is not None:
            one.ended(trial, Outcome(failure=failure))
            return True
        return self.stopped(one, trial, one.epoch(trial, self.result(state)))

    def stopped(self, one: StudyDriver, trial: int, decision: Decision) -> bool:
        if decision is Decision.STOP:
            one.ended(trial, Outcome())
        return decision is Decision.STOP

    def kind(self, state: dict[str, Any]) -> object:
        return sorted((key, str(value)) for key, value in state["params"].items())

    def failure(self, state: dict[str, Any]) -> Failure | None:
        kind = self.kind(state)
        if chance("fails", kind) >= self.case.failing or state["epoch"] != 1 + int(3 * chance("epoch", kind)):
            return None
        name = ("diverged", "out of memory", "failed")[int(3 * chance("how", kind))]
        again = name == "out of memory" and not self.lost  # else more often than the test can wait
        return Failure(state=name, reason=f"{name} in epoch {state['epoch']}: x", transient=again)

    def result(self, state: dict[str, Any]) -> EpochResult:
        kind, epoch = self.kind(state), state["epoch"]
        value = chance("good", kind) * (1 - 0.5**epoch) + 0.2 * chance("noise", kind, epoch)
        if chance("never", kind) < self.case.failing / 3:
            value = float("nan")
        if improved := value > state.get("best", [0, -1.0])[1]:
            state["best"] = [epoch, value]
        content = json.dumps({"epoch": epoch, "kind": str(kind), "best": state.get("best", [0, -1.0])}).encode()
        record = {
            "epoch": epoch, "train_loss": 1.0, "train_accuracy": value, "validation_loss": 1.0,
            "validation_accuracy": value, "train_seconds": 0.1, "epoch_seconds": 0.1,
        }  # fmt: skip
        weights = weights_of(state) if improved else None
        if epoch % self.case.saved:
            return EpochResult(record=record, checkpoint=None, weights=weights)
        return EpochResult(record=record | {DIGEST: digest(content)}, checkpoint=content, weights=weights)

    @property
    def records(self) -> list[object]:
        """All that is kept of each trial, but for times."""
        return [self.record_of(trial) for trial in read_trials(self.folder)]

    def record_of(self, trial: Any) -> object:
        folder = self.folder.trial(trial.number)
        files = {path.name: path.read_bytes() for path in (folder.params,) if path.exists()}
        attributes = {key: value for key, value in trial.user_attrs.items() if key != SECONDS}
        running = trial.state == TrialState.RUNNING
        return repr((
            trial.number, trial.state, trial.values, trial.params, trial.intermediate_values, attributes,
            None if running else (read_epochs(folder), files),
        ))  # fmt: skip


def weights_of(state: dict[str, Any]) -> Weights | None:
    """What a worker sends of the best epoch: the epoch itself."""
    best = state.get("best", [0])[0]
    return (lambda: {"epoch": np.array(best)}) if best else None


def best_kept(run: Run) -> list[tuple[int, int | None]]:
    """The epoch of the weights that each ended trial has, or that a checkpoint holds which it has in their place."""
    found = []
    for trial in read_trials(run.folder):
        folder = run.folder.trial(trial.number)
        if (weights := read_npz(folder.weights)) is not None:
            found.append((trial.number, int(weights["epoch"])))
        elif (content := find_checkpoint(folder).content) is not None:
            found.append((trial.number, json.loads(bytes(content))["best"][0]))
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sampler = draw(st.sampled_from(SAMPLERS))
    space = draw(st.sampled_from(["few"] if sampler == "grid" else list(SPACES)))
    return Case(
        sampler=sampler, space=space, pruner=draw(st.sampled_from(PRUNERS)), slots=draw(st.integers(1, 5)),
        seed=draw(st.integers(0, 99)), trials=draw(st.integers(2, 12)), max_epochs=draw(st.integers(1, 6)),
        budget=draw(st.none() | st.integers(1, 5)), patience=draw(st.none() | st.integers(1, 3)),
        reference=draw(st.booleans()), failing=draw(st.sampled_from([0.0, 0.0, 0.3, 0.8])),
        saved=draw(st.sampled_from([1, 1, 2, 3])),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # numpy's, where Optuna's median pruner looks at such a trial
@settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a case takes a second, shrinking it minutes
)  # fmt: skip
@given(
    case=cases(), workers=st.integers(1, 6), chance=st.integers(0, 2**32),
    kills=st.lists(st.integers(0, 120), max_size=4), lost=st.sampled_from([0.0, 0.0, 0.1]),
)  # fmt: skip
@example(  # killed between an epoch and its decision, of a trial that began after its slot was free
    case=Case(sampler="random", pruner="median", space="few", slots=4, seed=82, trials=16, max_epochs=4, budget=2,
              patience=1, reference=False), workers=4, chance=96, kills=[115], lost=0.0,
)  # fmt: skip
@example(  # killed between two failures of which the first has shown that the second is its trial's own
    case=Case(sampler="random", pruner="none", space="few", slots=5, seed=7, trials=9, max_epochs=3, budget=2,
              reference=False, failing=0.8), workers=3, chance=136, kills=[94], lost=0.0,
)  # fmt: skip
def test_a_study_in_virtual_order_is_the_same_whatever_ends_first_and_whenever_it_is_killed(
    case, workers, chance, kills, lost
):
    with TemporaryDirectory() as place:
        calm = Run(case, Path(place) / "calm").to_its_end()
        wild = Run(case, Path(place) / "wild", workers=workers, rng=random.Random(chance), lost=lost)
        if calm.end is RunEnd.COMMON_FAILURE:
            kills, wild.lost = [], 0.0  # a run that was killed after it ended may go on
        wild.to_its_end(kills)
        assert wild.records == calm.records
        best = dict(best_kept(calm))
        assert not list(calm.root.glob("trials/*/*.pt")), "a kill at its end may leave a trial's"
        assert case.saved > 1 or all(best[number] == epoch for number, epoch in best_kept(wild))


@pytest.mark.parametrize("writes", range(8))
def test_a_trial_has_failed_or_runs_wherever_its_end_is_killed(writes, tmp_path):
    run = Run(Case(reference=False), tmp_path)
    recorder = run.driver().recorder
    trial = recorder.open_trial()
    failure = Failure(state="diverged", reason="diverged in epoch 1: loss nan")
    try:
        with killed_after(writes):
            recorder.close_failed(trial, failure)
    except Killed:
        pass
    (stored,) = read_trials(run.folder)
    assert (stored.state == TrialState.FAIL) == ("state" in stored.user_attrs) == ("reason" in stored.user_attrs)


@pytest.mark.parametrize(("kind", "same"), [(OrderedDriver, True), (StudyDriver, False)])
def test_workers_that_overtake_each_other_change_a_study_in_order_of_arrival_alone(tmp_path, kind, same):
    case = Case(trials=12, slots=3)
    runs = [
        Run(case, tmp_path / str(seed), workers=3, rng=random.Random(seed), driver_class=kind).to_its_end()
        for seed in range(4)
    ]
    assert all(run.records == runs[0].records for run in runs[1:]) is same


def test_epochs_behind_a_late_stop_are_counted_and_are_no_ones_values(tmp_path):
    run = Run(Case(trials=12, slots=4, budget=6), tmp_path, workers=4, rng=random.Random(1)).to_its_end()
    recorder = run.driver().recorder
    assert recorder.dropped_epochs > 0
    assert recorder.dropped_epochs + recorder.epochs_spent == run.trained
    for row in recorder.rows():
        assert [line["epoch"] for line in read_epochs(run.folder.trial(row.number))] == list(range(1, row.epochs + 1))


def test_a_slot_waits_for_the_epoch_that_is_first_in_virtual_order(tmp_path):
    run = Run(Case(slots=2, reference=False), tmp_path)
    driver = run.driver()
    first, second = driver.next(), driver.next()
    assert isinstance(first, Assignment) and isinstance(second, Assignment)
    assert driver.next() == Wait() and not driver.has_more
    assert driver.may_have_more, "its worker stays"
    for epoch in (1, 2):  # the second trial is faster
        state = {"epoch": epoch, "params": second.hyperparameters}
        assert driver.epoch(second.trial, run.result(state)) is Decision.CONTINUE
    assert awaited(2, read_trials(run.folder)) == (first.trial, 1)
    owner = this_process()
    overview = Overview(
        folder=run.folder, study=run.study, rows=[], running=owner, trials=read_trials(run.folder)
    )  # fmt: skip
    assert status_title(overview) == (
        f"{run.folder.name}: running, 0 of 8 trials finished ({owner}); decisions wait for epoch 1 of trial 0"
    )
    driver.epoch(first.trial, run.result({"epoch": 1, "params": first.hyperparameters}))
    assert awaited(2, read_trials(run.folder)) != (first.trial, 1)
    assert awaited(2, []) is None


def test_a_study_that_cannot_be_the_same_again_is_refused():
    def faults(more: str) -> str:
        with pytest.raises(StudyFileError) as caught:
            parse_study(
                f'name = "a"\ndataset = "synthetic-mnist"\nmodel = "mnist_cnn"\nmax_epochs = 2\n{more}\n'
                f"[space]\n{SPACES['numbers']}\n",
                "a.toml",
            )
        return str(caught.value)

    assert faults('order = "virtual"\nsampler = "cmaes"\npruner = "asha"') == (
        "a.toml: order: virtual makes the same study the same again, but not with sampler 'cmaes'; take tpe, random, "
        'qmc or grid, or order = "arrival"\n'
        "a.toml: order: virtual makes the same study the same again, but not with pruner 'asha'; take halving, median, "
        'percentile or none, or order = "arrival"'
    )
    assert faults("slots = 2") == 'a.toml: slots: goes with order = "virtual", but got 2; add it, or leave slots out'


def test_another_order_leaves_the_slots_of_the_study_file_out():
    text = (
        'name = "a"\ndataset = "synthetic-mnist"\nmodel = "mnist_cnn"\nmax_epochs = 2\norder = "virtual"\nslots = 3\n'
        f"[space]\n{SPACES['numbers']}\n"
    )
    arrival = parse_study(text, "a.toml", {"order": "arrival"})
    assert (arrival.order, arrival.slots) == ("arrival", None)
    assert parse_study(text, "a.toml", {"order": "virtual"}).slots == 3
    with pytest.raises(StudyFileError, match=r'^a\.toml: slots: goes with order = "virtual", but got 4; add it, or'):
        parse_study(text, "a.toml", {"order": "arrival", "slots": 4})


def test_slots_left_out_are_those_that_the_study_began_with():
    there = Case(slots=3).study
    assert differences(there, there.model_copy(update={"slots": None})) == []
    assert differences(there, there.model_copy(update={"slots": 4})) == ["slots: 3 -> 4"]
    arrival = there.model_copy(update={"order": "arrival", "slots": None})
    assert differences(there, arrival) == ["order: virtual -> arrival"]


def test_no_worker_is_kept_once_every_trial_has_begun(tmp_path):
    run = Run(Case(slots=3, trials=2, reference=False), tmp_path)
    driver = run.driver()
    assert isinstance(driver.next(), Assignment) and driver.may_have_more
    assert isinstance(driver.next(), Assignment)
    assert driver.next() == Wait() and not driver.may_have_more
