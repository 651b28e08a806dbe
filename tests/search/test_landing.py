"""A search with an epoch budget, driven in any order, with failures and kills: what it promises of its epochs."""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import LABEL
from hw2tune.search.driver import Assignment, Decision, Done, Outcome
from hw2tune.search.failures import Failure
from hw2tune.study.file import dump_study
from tests.search.test_driver import Driver, history

FULL = 5  # epochs of a whole trial; the rungs are at 1 and 3
STUDY = """
name = "landed"
dataset = "mnist-5k"
model = "mnist_cnn"
max_epochs = 5
validation_size = 500
sampler = "random"
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = [32, 64, 100, 128, 256]
optimizer = ["adam"]
"""
REFERENCES = """
[references.one]
learning_rate = 0.001
batch_size = 100
optimizer = "adam"
[references.two]
learning_rate = 0.01
batch_size = 100
optimizer = "adam"
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A search. `failing` is the share of epochs in which a trial diverges, `killed` that of epochs before a kill."""

    budget: int
    slots: int
    seed: int
    failing: float = 0.0
    killed: float = 0.0
    pruner: str = "halving"
    references: int = 2  # or none


class Search:
    """A study driven to its end: any of its running trials ends the next epoch."""

    def __init__(self, root: Path, case: Case) -> None:
        self.root, self.case, self.chance, self.most = root, case, random.Random(case.seed), 0
        self.file = root / "landed.toml"
        self.file.write_text(STUDY + REFERENCES * bool(case.references))
        self.start()
        while self.running:
            if self.chance.random() < case.killed:
                self.start()
            self.epoch(self.chance.choice(sorted(self.running)))
            self.most = max(self.most, self.one.recorder.epochs_spent)
            self.fill()

    def start(self) -> None:
        """Begin, or go on after a kill."""
        case, given = self.case, {"trials": 100, "budget": self.case.budget, "pruner.name": self.case.pruner}
        self.one = Driver(self.root, file=self.file, slots=case.slots, **given)
        self.one.policy.proven = True  # though the first trials may all diverge
        self.running: dict[int, int] = {}  # number -> epochs
        self.fill()

    def fill(self) -> None:
        while len(self.running) < self.case.slots and isinstance(given := self.one.driver.next(), Assignment):
            epochs = int(bytes(given.checkpoint or b"state 0").split()[1])
            self.running[given.trial] = epochs
            values = [*self.one.trials[given.trial].intermediate_values.values()][:epochs]
            if epochs and self.one.driver.resumed(given.trial, history(*values)) is Decision.STOP:
                self.end(given.trial)

    def epoch(self, number: int) -> None:
        self.running[number] += 1
        if self.chance.random() < self.case.failing:
            self.end(number, Failure(state="diverged", reason=f"trial {number} diverged", machine="a"))
            return
        self.one.numbers["it"] = number
        if self.one.epoch("it", self.running[number], self.chance.random()):
            del self.running[number]

    def end(self, number: int, failure: Failure | None = None) -> None:
        del self.running[number]
        self.one.driver.ended(number, Outcome(failure=failure, machine="a"))


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search left: its trials but for references, and its epochs at the end and at any time."""

    drawn: list[FrozenTrial]
    spent: int
    most: int


def searched(case: Case) -> Searched:
    with tempfile.TemporaryDirectory() as root:
        search = Search(Path(root), case)
        assert search.one.driver.next() == Done()
        search.one.folder.study_file.write_text(dump_study(search.one.study))
        assert read_overview(search.one.folder).state == "complete"
        trials = search.one.trials
        assert all(trial.state.is_finished() for trial in trials)
        drawn = [trial for trial in trials if LABEL not in trial.user_attrs]
        return Searched(drawn=drawn, spent=search.one.recorder.epochs_spent, most=search.most)


CASES = {"budget": st.integers(1, 7), "slots": st.integers(1, 24), "seed": st.integers(0, 999)}
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


KILLED, FAILING = st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.3])
ANY = st.sampled_from(["halving", "median", "none"])


@FEW
@given(st.builds(Case, **CASES, failing=FAILING, killed=KILLED, pruner=ANY, references=st.sampled_from([0, 2])))
def test_no_more_epochs_are_spent_than_the_budget_has_but_for_references_alone(case):
    assert searched(case).most <= max(case.budget, case.references) * FULL


@FEW
@given(st.builds(Case, **CASES, killed=KILLED, references=st.just(0)))
def test_each_trial_reaches_the_first_rung_and_one_is_complete(case):
    drawn = searched(case).drawn
    assert all(trial.intermediate_values for trial in drawn)
    assert TrialState.COMPLETE in [trial.state for trial in drawn]


@FEW
@given(st.builds(Case, **CASES, killed=KILLED))
def test_what_is_left_at_the_end_would_bring_no_trial_to_the_first_rung(case):
    assert searched(case).spent == max(case.budget, case.references) * FULL


@pytest.mark.parametrize("seed", range(3))
def test_with_very_many_slots_the_best_third_of_all_go_on_and_not_those_that_come_first(seed):
    drawn = searched(Case(budget=7, slots=24, seed=seed)).drawn
    first = [trial for trial in drawn if trial.number < 2 + 13]  # 25 epochs, 1 + 2/3 + 2/9 of them for each
    values = sorted((trial.intermediate_values[1] for trial in first), reverse=True)
    passed = {trial.intermediate_values[1] for trial in first if len(trial.intermediate_values) > 1}
    assert passed and passed <= set(values[: (len(first) + 2) // 3])


@pytest.mark.parametrize(("slots", "waits"), [(1, False), (3, False), (4, True), (24, True)])
def test_trials_wait_at_their_rungs_where_fewer_than_eight_epochs_are_left_for_each_slot(tmp_path, slots, waits):
    file = tmp_path / "landed.toml"
    file.write_text(STUDY + REFERENCES)  # two of them, which leave 25 of 35 epochs
    one = Driver(tmp_path, file=file, slots=slots, budget=7)
    for name in ("baseline", "l2"):
        one.next(name)
        one.run(name, [0.5] * FULL)
    one.next("a")
    assert one.epoch("a", 1, 0.9) == waits  # at its first rung, where none was before it
    assert bool(one.driver.waiting) == waits


@pytest.mark.parametrize("seed", range(3))
def test_without_rungs_each_trial_that_begins_is_complete(seed):
    drawn = searched(Case(budget=6, slots=24, seed=seed, pruner="none")).drawn
    assert [trial.state for trial in drawn] == [TrialState.COMPLETE] * 4
