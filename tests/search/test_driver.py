"""The driver of a study, driven as whatever runs trials drives it: next, epochs, the end. Without Ray."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.storages.journal import JournalStorage
from optuna.trial import TrialState

from hw2tune.events import Event, Listeners, Noted, TrialRetried, TrialStarted
from hw2tune.records.arrays import read_npz
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.trials.epochs import DIGEST, append_epoch, digest, read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.replication.race import candidates
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import (
    Assignment,
    Decision,
    Done,
    EpochResult,
    Outcome,
    RunEnd,
    StudyDriver,
    Wait,
)
from hw2tune.search.failures import MACHINES, Failure, FailurePolicy
from hw2tune.search.recorder import FINISHED, Recorder
from hw2tune.search.view import View
from hw2tune.study.file import find_study, parse_study


def history(*accuracies: float) -> list[dict[str, float]]:
    """The epochs that a checkpoint holds."""
    return [
        {"epoch": epoch, "validation_accuracy": accuracy, "epoch_seconds": 0.1}
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


LOST = Failure(
    state="lost", reason="lost: its worker process died", transient=True, machine="a", worker_died=True
)  # fmt: skip
BROKEN = Failure(state="failed", reason="failed in epoch 1: ValueError: x", traceback="Traceback ...", machine="a")


def record_of(epoch: int, accuracy: float) -> dict[str, Any]:
    """An epoch's line."""
    return {
        "epoch": epoch, "train_loss": 1.0, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
        "validation_accuracy": accuracy, "train_seconds": 0.1, "epoch_seconds": 0.2, "images_per_second": 10.0,
    }  # fmt: skip


class Driver:
    """A study's driver whose trials go by names, and what it tells in words."""

    def __init__(
        self, root: Path, machines: tuple[str, ...] = ("a",), retries: int = 2, file: Path | None = None,
        deadline: float | None = None, slots: int = 1, **overrides: object,
    ) -> None:  # fmt: skip
        self.study = parse_study(*find_study(str(file or "quickstart")), overrides={"trials": 4} | overrides)
        self.folder = StudyFolder(root)
        self.lines: list[str] = []
        self.started: list[TrialStarted] = []
        optuna_study = create_optuna_study(self.folder, self.study)
        tell = Listeners([self._hear])
        self.recorder = Recorder(self.study, optuna_study, self.folder, tell)
        self.recorder.enqueue_references()
        optuna_study.sampler = build_sampler(self.study, len(self.recorder.trials(*FINISHED, TrialState.RUNNING)))
        optuna_study.pruner = build_pruner(self.study)
        self.policy = FailurePolicy(retries=retries)
        self.driver = StudyDriver(
            recorder=self.recorder, policy=self.policy, tell=tell, machines=lambda: list(machines), deadline=deadline,
            slots=slots,
        )  # fmt: skip
        self.numbers: dict[str, int] = {}

    def _hear(self, event: Event) -> None:
        if isinstance(event, Noted | TrialRetried):
            self.lines.append(event.text)
        if isinstance(event, TrialStarted):
            self.started.append(event)

    @property
    def end(self) -> RunEnd | None:
        return self.driver.end

    def next(self, name: str) -> Assignment | Wait | Done:
        given = self.driver.next()
        if isinstance(given, Assignment):
            self.numbers[name] = given.trial
        return given

    def epoch(self, name: str, epoch: int, accuracy: float, *, saved: bool = True) -> bool:
        """One epoch; whether the trial ends there. Its weights are its number."""
        record = record_of(epoch, accuracy)
        content = b"state %d" % epoch if saved else None
        if content is not None:
            record[DIGEST] = digest(content)
        before = [one["validation_accuracy"] for one in self.epochs(name) if one["epoch"] < epoch]
        improved = math.isfinite(accuracy) and all(one is None or accuracy > one for one in before)
        weights = (lambda: {"epoch": np.array(epoch)}) if improved else None
        result = EpochResult(record=record, checkpoint=content, weights=weights)
        return self._ends(name, self.driver.epoch(self.numbers[name], result))

    def epochs(self, name: str) -> list[dict[str, Any]]:
        return read_epochs(self.folder.trial(self.numbers[name]))

    def resumed(self, name: str, epochs: list[dict[str, float]]) -> bool:
        """The trial says which epochs its checkpoint holds."""
        return self._ends(name, self.driver.resumed(self.numbers[name], epochs))

    def _ends(self, name: str, verdict: Decision) -> bool:
        if verdict is Decision.STOP:
            self.driver.ended(self.numbers[name], Outcome(machine="a"))
        return verdict is Decision.STOP

    def fails(self, name: str, failure: Failure = LOST) -> None:
        """The trial says why it failed, or its worker dies."""
        self.driver.ended(self.numbers[name], Outcome(failure=failure))

    def run(self, name: str, accuracies: list[float]) -> None:
        for epoch, accuracy in enumerate(accuracies, 1):
            if self.epoch(name, epoch, accuracy):
                return

    @property
    def trials(self):
        return read_trials(self.folder)


def test_the_published_configurations_are_trials_0_and_1_and_are_never_pruned(tmp_path):
    driver = Driver(tmp_path, **{"pruner.reduction_factor": 2})
    configurations = [driver.next(name) for name in "abc"]
    assert [c.hyperparameters for c in configurations[:2]] == list(driver.study.references.values())
    driver.run("c", [0.9, 0.9, 0.9, 0.9, 0.9])
    driver.run("a", [0.1] * 5)
    driver.run("b", [0.2, 0.5, 0.3, 0.3, 0.3])
    assert [(t.state, t.value, t.user_attrs.get("label")) for t in driver.trials[:2]] == [
        (TrialState.COMPLETE, 0.1, "baseline"), (TrialState.COMPLETE, 0.5, "l2"),
    ]  # fmt: skip


def test_each_trial_is_told_with_its_label_and_its_configuration_before_it_runs(tmp_path):
    driver = Driver(tmp_path)
    given = [driver.next(name) for name in "abc"]
    assert [(event.trial, event.label) for event in driver.started] == [(0, "baseline"), (1, "l2"), (2, "")]
    for event, assignment in zip(driver.started, given, strict=True):
        assert driver.study.complete(event.params) == assignment.hyperparameters


def test_the_first_free_slots_are_those_on_gpus_and_a_trial_that_ends_frees_its_own(tmp_path):
    driver = Driver(tmp_path)
    driver.driver.gpu_slots = 2
    assert [driver.next(name).gpu for name in "abc"] == [True, True, False]
    driver.run("b", [0.5] * 5)
    assert driver.next("d").gpu is True


def test_a_pruned_trial_stands_as_pruned_with_one_value_an_epoch(tmp_path):
    driver = Driver(tmp_path, **{"pruner.reduction_factor": 2, "pruner.min_epochs": 2})
    for name in "abc":
        driver.next(name)
    driver.run("a", [0.6, 0.7, 0.8, 0.8, 0.8])
    driver.run("c", [0.3, 0.2])
    pruned = driver.trials[2]
    assert pruned.state == TrialState.PRUNED
    assert pruned.intermediate_values == {1: 0.3, 2: 0.2}
    assert pruned.user_attrs["seconds"] == pytest.approx(0.4)


def test_the_value_of_a_trial_is_the_best_over_its_epochs(tmp_path):
    driver = Driver(tmp_path)
    driver.next("a")
    driver.run("a", [0.5, 0.9, 0.7, 0.9, 0.6])
    trial = driver.trials[0]
    assert trial.value == 0.9


def test_epochs_and_checkpoints_are_on_disk(tmp_path):
    driver = Driver(tmp_path)
    driver.next("a")
    driver.epoch("a", 1, 0.5)
    trial = driver.folder.trial(0)
    assert trial.last.read_bytes() == b"state 1"
    assert read_epochs(trial)[0]["validation_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [([0.1, 0.9, 0.5, 0.4, 0.3], 2), ([0.5, 0.1, 0.2, 0.3, 0.4], 1), ([0.1, 0.2, 0.3, 0.4, 0.5], 5)],
)
def test_of_a_trial_that_has_ended_the_weights_after_its_best_epoch_are_kept_and_nothing_else(
    tmp_path, accuracies, best
):
    driver = Driver(tmp_path)
    driver.next("a")
    driver.run("a", accuracies)
    trial = driver.folder.trial(0)
    assert read_npz(trial.weights) == {"epoch": np.array(best)}
    assert not any(path.exists() for path in trial.checkpoints)


def test_a_trial_whose_weights_are_gone_with_their_worker_keeps_its_checkpoints(tmp_path):
    driver = Driver(tmp_path)
    driver.next("a")
    for epoch in (1, 2, 3, 4):
        driver.epoch("a", epoch, epoch / 10)
    driver.recorder.weights[0] = (4, lambda: None)
    driver.epoch("a", 5, 0.1)
    trial = driver.folder.trial(0)
    assert (trial.last.read_bytes(), trial.previous.read_bytes()) == (b"state 5", b"state 4")
    assert driver.trials[0].state == TrialState.COMPLETE and not trial.weights.exists()


def test_weights_of_another_epoch_than_the_best_are_not_kept_as_the_best(tmp_path):
    first = Driver(tmp_path)
    first.next("a")
    for epoch, accuracy in ((1, 0.5), (2, 0.6), (3, 0.9)):
        first.epoch("a", epoch, accuracy, saved=epoch == 1)
    second = Driver(tmp_path, retries=0)
    second.next("a")
    second.resumed("a", history(0.5))
    second.epoch("a", 2, 0.6)  # better than the first one, and the third is still to be trained again
    second.fails("a", BROKEN)
    second.driver.close_deferred()
    trial = second.folder.trial(0)
    assert second.trials[0].state == TrialState.FAIL and not trial.weights.exists()
    assert trial.last.read_bytes() == b"state 2"


def test_epochs_behind_a_checkpoint_are_trained_again_and_decided_on_once(tmp_path):
    first = Driver(tmp_path, **{"pruner.min_epochs": 2, "pruner.reduction_factor": 2})
    for name in "abcd":
        first.next(name)
    for name, accuracy in (("c", 0.5), ("d", 0.6)):  # alone at the rung of epoch 2, and the best there
        for epoch in (1, 2):
            first.epoch(name, epoch, accuracy, saved=epoch == 1)
    second = Driver(tmp_path, **{"pruner.min_epochs": 2, "pruner.reduction_factor": 2})
    again = [second.next(name) for name in "abcd"]
    assert again[2].checkpoint == b"state 1"
    second.resumed("c", history(0.5))
    assert not second.epoch("c", 2, 0.5), "it has passed this rung, whatever came to it since"
    assert [one["epoch"] for one in second.epochs("c")] == [1, 2]
    assert list(second.trials[2].intermediate_values) == [1, 2]


def test_an_epoch_that_is_trained_again_does_not_end_a_trial_whose_patience_ran_out_behind_it(tmp_path):
    def driver() -> Driver:
        return Driver(tmp_path, **{"pruner.patience": 2})

    first = driver()
    for name in "abc":
        first.next(name)
    for epoch, accuracy in enumerate((0.5, 0.4), 1):
        first.epoch("c", epoch, accuracy, saved=epoch == 1)
    first.recorder.record_epoch(first.driver.live[2].trial, record_of(3, 0.4), None)  # and killed
    second = driver()
    for name in "abc":
        second.next(name)
    second.resumed("c", history(0.5))
    assert not second.epoch("c", 2, 0.4)
    assert second.epoch("c", 3, 0.4)
    assert [one["epoch"] for one in second.epochs("c")] == [1, 2, 3]


def test_a_diverged_trial_is_a_failure_with_its_reason_and_the_study_goes_on(tmp_path):
    driver = Driver(tmp_path)
    for name in "ab":
        driver.next(name)
    driver.epoch("a", 1, 0.5)
    driver.fails("a", Failure(state="diverged", reason="diverged in epoch 2: loss nan", machine="a"))
    trial = driver.trials[0]
    assert trial.state == TrialState.FAIL
    assert (trial.user_attrs["state"], trial.user_attrs["reason"]) == ("diverged", "diverged in epoch 2: loss nan")
    driver.run("b", [0.5] * 5)
    assert driver.trials[1].state == TrialState.COMPLETE


def test_an_error_in_a_trial_leaves_its_traceback_in_the_folder_and_is_not_tried_again(tmp_path):
    driver = Driver(tmp_path)
    for name in "ab":
        driver.next(name)
    driver.run("b", [0.5] * 5)
    driver.fails("a", BROKEN)
    assert driver.folder.trial(0).errors.read_text() == "failed in epoch 1: ValueError: x\n\nTraceback ..."
    assert driver.trials[0].state == TrialState.FAIL
    assert driver.trials[0].user_attrs["state"] == "failed"


def test_a_trial_whose_worker_died_goes_on_from_its_checkpoint_under_its_number(tmp_path):
    driver = Driver(tmp_path)
    driver.next("a")
    driver.next("b")
    driver.epoch("a", 1, 0.5)
    driver.epoch("a", 2, 0.6)
    driver.fails("a")
    assert driver.trials[0].state == TrialState.RUNNING
    again = driver.next("c")
    assert (again.trial, again.checkpoint) == (0, b"state 2")
    assert driver.lines == ["trial 0: lost: its worker process died on a; goes on from epoch 2 (retry 1 of 2)"]
    driver.resumed("c", history(0.5, 0.6))
    for epoch in (3, 4, 5):
        driver.epoch("c", epoch, 0.7)
    assert driver.trials[0].state == TrialState.COMPLETE
    assert list(driver.trials[0].intermediate_values) == [1, 2, 3, 4, 5]


def test_a_trial_whose_retries_are_used_up_is_lost(tmp_path):
    driver = Driver(tmp_path, retries=2)
    for name in "zy":
        driver.next(name)
    driver.run("y", [0.5] * 5)
    for name in "abc":
        driver.fails("z" if name == "a" else name)
        if name != "c":
            assert driver.next(chr(ord(name) + 1)).trial == 0
    assert driver.trials[0].state == TrialState.FAIL
    assert driver.trials[0].user_attrs["reason"] == "lost: its worker process died"


def test_machines_that_die_under_a_trial_cost_it_nothing_until_they_are_too_many():
    policy, gone = FailurePolicy(retries=2), Failure(state="lost", reason="lost", transient=True, machine_died=True)
    assert [policy.retry(0, gone) for _ in range(MACHINES + 3)] == [True] * (MACHINES + 2) + [False]
    assert policy.retry(1, gone) and policy.attempts == {0: 3}
    left = replace(gone, machine_died=False, machine_left=True)
    assert all(policy.retry(2, left) for _ in range(1000))


def test_the_run_waits_for_trials_that_may_yet_be_given_out_again(tmp_path):
    driver = Driver(tmp_path, trials=2)
    for name in "ab":
        driver.next(name)
    driver.run("a", [0.5] * 5)
    assert driver.next("c") == Wait()
    driver.fails("b")
    assert driver.next("d").trial == 1
    driver.run("d", [0.5] * 5)
    assert driver.next("e") == Done()


def test_a_machine_with_two_failures_in_a_row_is_left_out_and_named(tmp_path):
    driver = Driver(tmp_path, machines=("a", "b"))
    for name in "xyz":
        driver.next(name)
    driver.epoch("z", 1, 0.3)
    driver.fails("x")
    assert driver.end is None
    driver.fails("y")
    assert driver.lines[-1] == (
        "a is excluded: two trials failed in a row, the last one `lost: its worker process died`"
    )
    assert driver.end is not None and set(driver.policy.excluded) == {"a"}


def test_the_last_machine_is_never_left_out(tmp_path):
    driver = Driver(tmp_path, machines=("a",))
    for name in "xy":
        driver.next(name)
    for name in "xy":
        driver.fails(name)
    assert driver.end is None


def test_a_trial_that_ends_well_clears_its_machine(tmp_path):
    driver = Driver(tmp_path, machines=("a", "b"))
    for name in "xyz":
        driver.next(name)
    driver.fails("x")
    driver.run("z", [0.1] * 5)
    driver.fails("y")
    assert driver.end is None


def test_five_first_trials_that_fail_alike_end_the_study_and_may_run_again(tmp_path):
    driver = Driver(tmp_path, trials=9)
    for name in "abcde":
        assert driver.end is None
        driver.next(name)
        driver.fails(name, BROKEN)
    assert driver.end is not None
    assert driver.policy.common_failure == BROKEN
    assert [trial.state for trial in driver.trials] == [TrialState.RUNNING] * 5
    again = Driver(tmp_path, trials=9)
    assert [again.next(name).trial for name in "uvwxyz"] == [0, 1, 2, 3, 4, 5]


def test_first_trials_that_fail_for_different_reasons_are_their_own_failures(tmp_path):
    driver = Driver(tmp_path, trials=9)
    for name in "ab":
        driver.next(name)
    driver.fails("a", BROKEN)
    assert driver.trials[0].state == TrialState.RUNNING
    driver.fails("b", Failure(state="failed", reason="failed in epoch 1: KeyError: y", machine="a"))
    assert [trial.state for trial in driver.trials[:2]] == [TrialState.FAIL] * 2


def test_a_damaged_checkpoint_falls_back_to_the_other_then_to_the_beginning(tmp_path):
    first = Driver(tmp_path)
    first.next("a")
    for epoch in (1, 2, 3):
        first.epoch("a", epoch, 0.5)
    trial = first.folder.trial(0)
    trial.last.write_bytes(b"state 3 damaged")
    second = Driver(tmp_path)
    assert second.next("b").checkpoint == b"state 2"
    assert second.lines == ["trial 0: last.pt damaged, it goes on from epoch 2"]
    for path in (trial.last, trial.previous):
        path.write_bytes(b"")
    third = Driver(tmp_path)
    assert third.next("c").checkpoint is None
    assert third.lines == ["trial 0: last.pt and previous.pt damaged, it goes on from epoch 0"]
    assert not any(path.exists() for path in trial.checkpoints)
    third.epoch("c", 1, 0.5)
    assert [record["epoch"] for record in read_epochs(trial)] == [1]
    for epoch in (2, 3, 4, 5):
        third.epoch("c", epoch, 0.5)
    assert [record["epoch"] for record in read_epochs(trial)] == [1, 2, 3, 4, 5]
    assert third.trials[0].state == TrialState.COMPLETE


def test_a_kill_between_an_epochs_line_and_its_checkpoint_costs_that_epoch_alone(tmp_path):
    first = Driver(tmp_path)
    first.next("a")
    first.epoch("a", 1, 0.5)
    append_epoch(first.folder.trial(0), {"epoch": 2, "validation_accuracy": 0.6, DIGEST: digest(b"state 2")})
    second = Driver(tmp_path)
    assert second.next("z").checkpoint == b"state 1"
    assert second.lines == []
    second.resumed("z", history(0.5))
    assert [record["epoch"] for record in read_epochs(second.folder.trial(0))] == [1]


def test_a_number_given_out_again_after_the_journal_lost_its_end_starts_clean(tmp_path):
    first = Driver(tmp_path)
    known = first.folder.journal.read_bytes()
    first.next("a")
    first.epoch("a", 1, 0.5)
    first.folder.journal.write_bytes(known)
    second = Driver(tmp_path)
    assert second.next("z").trial == 0
    assert read_epochs(second.folder.trial(0)) == [] and not second.folder.trial(0).last.exists()


def test_a_disk_that_refuses_ends_the_run_and_nothing_more_is_written(tmp_path, monkeypatch):
    driver = Driver(tmp_path)
    for name in "ab":
        driver.next(name)
    driver.epoch("a", 1, 0.5)
    driver.epoch("b", 1, 0.5)
    driver.folder.trial(1).previous.mkdir()  # a file cannot be written over a folder
    before = driver.folder.journal.read_bytes()
    driver.epoch("b", 2, 0.5)
    assert str(driver.recorder.not_writable).endswith("trials/1/previous.pt: cannot be written (Is a directory)")
    assert driver.end is not None
    assert driver.next("c") == Wait()
    driver.fails("a")
    assert driver.folder.journal.read_bytes() == before


def test_the_run_ends_when_its_time_is_up(tmp_path):
    assert Driver(tmp_path, deadline=time.monotonic() + 60).end is None
    assert Driver(tmp_path, deadline=time.monotonic()).end is RunEnd.OUT_OF_TIME


def test_the_searcher_gives_out_as_many_trials_as_the_study_holds(tmp_path):
    driver = Driver(tmp_path, trials=3)
    assert [isinstance(driver.next(name), Assignment) for name in "abcd"] == [True, True, True, False]
    for name in "abc":
        driver.run(name, [0.5] * 5)
    assert driver.next("e") == Done()


def test_a_continuation_takes_up_interrupted_trials_and_repeats_no_configuration(tmp_path):
    first = Driver(tmp_path, trials=6)
    for name in "abc":
        first.next(name)
    first.run("a", [0.5] * 5)
    first.epoch("c", 1, 0.6)
    first.epoch("c", 2, 0.7)  # trials 1 and 2 are running when the driver dies
    second = Driver(tmp_path, trials=6)
    given = [second.next(name) for name in "uvwxyz"]
    assert [configuration.trial for configuration in given[:-1]] == [1, 2, 3, 4, 5]
    assert given[-1] == Wait()
    assert (given[0].checkpoint, given[1].checkpoint, given[2].checkpoint) == (None, b"state 2", None)
    assert given[1].hyperparameters == second.study.search_space.decode(second.trials[2].params)
    assert not second.resumed("v", history(0.6, 0.7))
    for epoch in (3, 4, 5):
        second.epoch("v", epoch, 0.7 + 0.02 * epoch)
    for name in "uwxy":
        second.run(name, [0.9] * 5)
    assert [trial.state for trial in second.trials] == [TrialState.COMPLETE] * 6
    assert list(second.trials[2].intermediate_values) == [1, 2, 3, 4, 5]
    assert [record["epoch"] for record in read_epochs(second.folder.trial(2))] == [1, 2, 3, 4, 5]
    params = [tuple(sorted(trial.params.items())) for trial in second.trials]
    assert len(set(params)) == 6


def test_file_and_storage_follow_the_checkpoint_whatever_a_kill_left_out(tmp_path):
    first = Driver(tmp_path)
    first.next("a")
    first.epoch("a", 1, 0.5)
    append_epoch(first.folder.trial(0), {"epoch": 2, "validation_accuracy": 0.6, "epoch_seconds": 0.1, "pid": 7})
    append_epoch(first.folder.trial(0), {"epoch": 4, "validation_accuracy": 0.9, "epoch_seconds": 0.1})
    second = Driver(tmp_path)
    second.next("z")
    second.resumed("z", history(0.5, 0.6, 0.7))
    assert second.trials[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}  # 2 was in the file, 3 in neither
    records = read_epochs(second.folder.trial(0))
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert records[1]["pid"] == 7  # what the file knew of it stays


def test_an_epoch_without_a_number_that_a_kill_parted_from_the_storage_is_told_to_it(tmp_path):
    first = Driver(tmp_path)
    first.next("a")
    append_epoch(first.folder.trial(0), {"epoch": 1, "validation_accuracy": math.nan, "epoch_seconds": 0.1})
    known = read_epochs(first.folder.trial(0))  # null in the file
    second = Driver(tmp_path)
    second.next("z")
    second.resumed("z", known)
    assert math.isnan(second.trials[0].intermediate_values[1])


def test_a_trial_killed_after_its_last_epoch_is_closed_without_training(tmp_path):
    first = Driver(tmp_path, max_epochs=1)
    first.next("a")
    second = Driver(tmp_path, max_epochs=1)
    second.next("z")
    assert second.resumed("z", history(0.4))
    assert (second.trials[0].state, second.trials[0].value) == (TrialState.COMPLETE, pytest.approx(0.4))


def test_a_continuation_repeats_no_draw_even_if_nothing_had_finished(tmp_path):
    first = Driver(tmp_path, trials=8)
    drawn = [first.next(name).hyperparameters for name in "abcd"]
    second = Driver(tmp_path, trials=8)
    again = [second.next(name).hyperparameters for name in "stuvwxyz"]
    assert again[:4] == drawn
    assert not any(configuration in drawn for configuration in again[4:])


def test_a_kill_between_the_two_published_trials_loses_neither(tmp_path):
    study = parse_study(*find_study("quickstart"))
    optuna_study = create_optuna_study(StudyFolder(tmp_path), study)
    stored = study.search_space.encode(study.references["baseline"])
    optuna_study.enqueue_trial(stored, user_attrs={"label": "baseline"})
    driver = Driver(tmp_path)
    assert [driver.next(name).hyperparameters for name in "ab"] == list(study.references.values())


SMALL = {
    "space.learning_rate": {"choices": [0.001, 0.01]}, "space.batch_size": {"choices": [64, 100]},
    "space.optimizer": {"choices": ["adam"]}, "space.weight_decay": {"choices": [0.0, 1e-4]}, "max_epochs": 1,
}  # fmt: skip


def small_study(root: Path, **overrides: object) -> Driver:
    overrides = {"trials": 24, "pruner.name": "none"} | SMALL | overrides
    text, _ = find_study("quickstart")
    without_momentum = text.replace('momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }\n', "")
    (root / "small.toml").write_text(without_momentum)
    return Driver(root, file=root / "small.toml", **overrides)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_in_a_small_space_each_configuration_is_trained_once_and_then_the_study_is_complete(tmp_path, sampler):
    driver = small_study(tmp_path, sampler=sampler)
    assert driver.study.trials_possible == 8
    given = 0
    while isinstance(driver.next(f"t{given}"), Assignment):
        driver.epoch(f"t{given}", 1, 0.5 + given / 100)
        given += 1
    trials = read_trials(driver.folder)
    assert given == 8 == len(trials) and {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == 8
    assert not driver.recorder.unfinished
    again = small_study(tmp_path, sampler=sampler)  # a continuation has nothing to do
    assert isinstance(again.next("more"), Done) and not again.recorder.unfinished


def test_a_configuration_that_was_drawn_before_leaves_no_trace_in_the_journal(tmp_path):
    driver = small_study(tmp_path, sampler="random")
    for number in range(8):
        driver.next(f"t{number}")
    assert [trial.number for trial in read_trials(driver.folder)] == list(range(8))
    stored = [trial.params for trial in read_trials(driver.folder)]
    written = [json.loads((driver.folder.trial(number).params).read_text()) for number in range(8)]
    for params, record in zip(stored, written, strict=True):
        assert params.items() <= record.items()


def test_of_equal_configurations_one_races():
    row = {
        "label": "", "state": "complete", "reason": "", "epochs": 1, "best_epoch": 1, "seconds": 1.0,
        "params": {"learning_rate": 0.1, "batch_size": 32, "optimizer": "sgd"},
    }  # fmt: skip
    rows = [
        TrialRow(number=0, value=0.5, **row),
        TrialRow(number=1, value=0.9, **row | {"params": {**row["params"], "momentum": 0.0}}),
        TrialRow(number=2, value=0.7, **row | {"params": {**row["params"], "momentum": 0.9}}),
    ]
    study = parse_study(*find_study("quickstart"))
    overview = Overview(folder=StudyFolder(Path("x")), study=study, rows=rows, running=None)
    more = [replace(row, number=row.number + 3, value=0.1) for row in rows]
    overview = replace(overview, rows=[*rows, *more])
    assert [row.number for row in candidates(overview, 3)] == [1, 2]


def test_one_bad_trial_that_fails_twice_does_not_exclude_its_machine(tmp_path):
    driver = Driver(tmp_path, machines=("a", "b"))
    driver.next("x")
    driver.fails("x")
    driver.next("x")
    driver.fails("x")
    assert driver.end is None and driver.policy.excluded == {}


def test_errors_of_the_trials_own_do_not_exclude_a_machine(tmp_path):
    driver = Driver(tmp_path, machines=("a", "b"))
    for name in "xyz":
        driver.next(name)
    driver.run("z", [0.5] * 5)
    driver.fails("x", BROKEN)
    driver.fails("y", Failure(state="failed", reason="failed in epoch 2: KeyError: k", machine="a"))
    assert driver.end is None and driver.policy.excluded == {}


def test_a_worker_that_dies_while_the_run_ends_costs_its_trial_nothing(tmp_path):
    driver = Driver(tmp_path, retries=0)
    driver.next("a")
    driver.epoch("a", 1, 0.5)
    driver.driver.interrupt()
    driver.fails("a")
    assert driver.end is RunEnd.INTERRUPTED
    assert driver.trials[0].state == TrialState.RUNNING
    assert Driver(tmp_path).next("z").checkpoint == b"state 1"


def test_an_epoch_and_an_end_do_not_list_all_trials_of_the_study(tmp_path, monkeypatch):
    driver, listed = Driver(tmp_path, **{"pruner.name": "none"}), list[int]()
    get_all_trials = JournalStorage.get_all_trials

    def counted(*given, **more):
        listed.append(1)
        return get_all_trials(*given, **more)

    monkeypatch.setattr(JournalStorage, "get_all_trials", counted)
    driver.next("a")
    listed.clear()
    driver.run("a", [0.1, 0.2, 0.3, 0.4, 0.5])
    assert not listed
    assert driver.trials[0].value == pytest.approx(0.5)


def test_a_random_draw_does_not_look_at_the_trials_of_the_study(tmp_path, monkeypatch):
    driver, asked = Driver(tmp_path, **{"sampler.name": "random"}), list[int]()
    get_all_trials = View.get_all_trials

    def counted(*given, **more):
        asked.append(1)
        return get_all_trials(*given, **more)

    monkeypatch.setattr(View, "get_all_trials", counted)
    drawn = [driver.next(name).hyperparameters for name in "abcd"]
    assert len({str(one) for one in drawn}) == 4 and not asked
