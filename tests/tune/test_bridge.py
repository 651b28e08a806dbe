"""The bridge of Tune and Optuna, driven as Tune drives it but without Ray: suggest, epochs, the end."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from hw2tune.records.epochs import append_epoch, read_epochs
from hw2tune.records.folder import StudyFolder
from hw2tune.records.storage import create_optuna_study, read_trials
from hw2tune.study.file import find_study, parse_study
from hw2tune.tune.deciding import build_pruner, build_sampler
from hw2tune.tune.ledger import Ledger
from hw2tune.tune.messages import BEST, FAILURE, LAST, RESUMED, failure
from hw2tune.tune.observer import Observer
from hw2tune.tune.searcher import FINISHED, StudySearch
from hw2tune.tune.stopper import StudyStopper


def history(*accuracies: float) -> list[dict[str, float]]:
    """The epochs that a checkpoint holds."""
    return [
        {"epoch": epoch, "validation_accuracy": accuracy, "epoch_seconds": 0.1}
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


class Driver:
    """Calls searcher and stopper in the order of Ray 2.60's TuneController."""

    def __init__(self, root: Path, **overrides: object) -> None:
        self.study = parse_study(*find_study("quickstart"), overrides={"trials": 4} | overrides)
        self.folder = StudyFolder(root)
        optuna_study = create_optuna_study(self.folder, self.study)
        self.ledger = Ledger(self.study, optuna_study, self.folder, Observer())
        self.ledger.enqueue_published()
        optuna_study.sampler = build_sampler(self.study, len(self.ledger.trials(*FINISHED, TrialState.RUNNING)))
        optuna_study.pruner = build_pruner(self.study)
        self.search = StudySearch(self.ledger, self.ledger.trials(TrialState.RUNNING))
        self.stopper = StudyStopper(self.search)

    def epoch(self, trial_id: str, epoch: int, accuracy: float) -> bool:
        """One epoch's result; tells the searcher where the trial ends, as Tune does."""
        return self.result(trial_id, {
            "epoch": epoch, "train_loss": 1.0, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
            "validation_accuracy": accuracy, "train_seconds": 0.1, "epoch_seconds": 0.2, "images_per_second": 10.0,
            LAST: b"last %d" % epoch, BEST: b"best %d" % epoch, "done": epoch == self.study.max_epochs,
            "config": {"number": 0},
        })  # fmt: skip

    def result(self, trial_id: str, result: dict) -> bool:
        flat = result | {f"{FAILURE}/{key}": value for key, value in result.get(FAILURE, {}).items()}
        ends = self.stopper(trial_id, result)
        if ends:
            self.search.on_trial_complete(trial_id, flat)
        return ends

    def run(self, trial_id: str, accuracies: list[float]) -> None:
        for epoch, accuracy in enumerate(accuracies, 1):
            if self.epoch(trial_id, epoch, accuracy):
                return

    @property
    def trials(self):
        return read_trials(self.folder)


def test_the_published_configurations_are_trials_0_and_1_and_are_never_pruned(tmp_path):
    driver = Driver(tmp_path, **{"pruner.reduction_factor": 2})
    configurations = [driver.search.suggest(name) for name in "abc"]
    assert [c["hyperparameters"] for c in configurations[:2]] == list(driver.study.published.values())
    driver.run("c", [0.9, 0.9, 0.9, 0.9, 0.9])
    driver.run("a", [0.1] * 5)
    driver.run("b", [0.2, 0.5, 0.3, 0.3, 0.3])
    assert [(t.state, t.value, t.user_attrs.get("label")) for t in driver.trials[:2]] == [
        (TrialState.COMPLETE, 0.1, "baseline"), (TrialState.COMPLETE, 0.5, "l2"),
    ]  # fmt: skip


def test_a_pruned_trial_stands_as_pruned_with_one_value_an_epoch(tmp_path):
    driver = Driver(tmp_path, **{"pruner.reduction_factor": 2, "pruner.min_epochs": 2})
    for name in "abc":
        driver.search.suggest(name)
    driver.run("a", [0.6, 0.7, 0.8, 0.8, 0.8])
    driver.run("c", [0.3, 0.2])
    pruned = driver.trials[2]
    assert pruned.state == TrialState.PRUNED
    assert pruned.intermediate_values == {1: 0.3, 2: 0.2}
    assert pruned.user_attrs["seconds"] == pytest.approx(0.4)


def test_the_value_of_a_trial_is_the_best_over_its_epochs(tmp_path):
    driver = Driver(tmp_path)
    driver.search.suggest("a")
    driver.run("a", [0.5, 0.9, 0.7, 0.9, 0.6])
    trial = driver.trials[0]
    assert trial.value == 0.9


def test_epochs_and_weights_are_on_disk_and_not_in_what_tune_keeps(tmp_path):
    driver = Driver(tmp_path)
    driver.search.suggest("a")
    result = {"epoch": 1, "validation_accuracy": 0.5, "images_per_second": 1.0, "epoch_seconds": 1.0, "done": False,
              LAST: b"the state", BEST: b"the weights"}  # fmt: skip
    driver.stopper("a", result)
    assert LAST not in result and BEST not in result
    trial = driver.folder.trial(0)
    assert (trial.last.read_bytes(), trial.best.read_bytes()) == (b"the state", b"the weights")
    assert read_epochs(trial)[0]["validation_accuracy"] == 0.5


def test_a_diverged_trial_is_a_failure_with_its_reason_and_the_study_goes_on(tmp_path):
    driver = Driver(tmp_path)
    for name in "ab":
        driver.search.suggest(name)
    driver.epoch("a", 1, 0.5)
    driver.result("a", {FAILURE: failure("diverged", "diverged in epoch 2: loss nan"), "done": True})
    trial = driver.trials[0]
    assert trial.state == TrialState.FAIL
    assert (trial.user_attrs["state"], trial.user_attrs["reason"]) == ("diverged", "diverged in epoch 2: loss nan")
    driver.run("b", [0.5] * 5)
    assert driver.trials[1].state == TrialState.COMPLETE


def test_an_error_in_a_trial_leaves_its_traceback_in_the_folder(tmp_path):
    driver = Driver(tmp_path)
    driver.search.suggest("a")
    driver.result("a", {FAILURE: failure("failed", "failed in epoch 1: ValueError: x", "Traceback ..."), "done": True})
    assert (driver.folder.trial(0).root / "error.txt").read_text() == "Traceback ..."
    assert driver.trials[0].user_attrs["state"] == "failed"


def test_a_trial_whose_worker_died_is_lost(tmp_path):
    driver = Driver(tmp_path)
    driver.search.suggest("a")
    driver.search.on_trial_complete("a", error=True)
    assert driver.trials[0].state == TrialState.FAIL
    assert driver.trials[0].user_attrs["reason"] == "lost: its worker process died"


def test_the_searcher_gives_out_as_many_trials_as_the_study_holds(tmp_path):
    driver = Driver(tmp_path, trials=3)
    assert [isinstance(driver.search.suggest(name), dict) for name in "abcd"] == [True, True, True, False]
    assert driver.search.suggest("e") == "FINISHED"


def test_a_continuation_takes_up_interrupted_trials_and_repeats_no_configuration(tmp_path):
    first = Driver(tmp_path, trials=6)
    for name in "abc":
        first.search.suggest(name)
    first.run("a", [0.5] * 5)
    first.epoch("c", 1, 0.6)
    first.epoch("c", 2, 0.7)  # trials 1 and 2 are running when the driver dies
    second = Driver(tmp_path, trials=6)
    given = [second.search.suggest(name) for name in "uvwxyz"]
    assert [configuration["number"] for configuration in given[:-1]] == [1, 2, 3, 4, 5]
    assert given[-1] == "FINISHED"
    assert (given[0]["resume"], given[1]["resume"], given[2]["resume"]) == (None, b"last 2", None)
    assert given[1]["hyperparameters"] == second.study.search_space.decode(second.trials[2].params)
    assert not second.result("v", {RESUMED: history(0.6, 0.7), "epoch": 2, "done": False})
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
    first.search.suggest("a")
    first.epoch("a", 1, 0.5)
    append_epoch(first.folder.trial(0), {"epoch": 2, "validation_accuracy": 0.6, "epoch_seconds": 0.1, "pid": 7})
    append_epoch(first.folder.trial(0), {"epoch": 4, "validation_accuracy": 0.9, "epoch_seconds": 0.1})
    second = Driver(tmp_path)
    second.search.suggest("z")
    second.result("z", {RESUMED: history(0.5, 0.6, 0.7), "epoch": 3, "done": False})
    assert second.trials[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}  # 2 was in the file, 3 in neither
    records = read_epochs(second.folder.trial(0))
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert records[1]["pid"] == 7  # what the file knew of it stays


def test_a_trial_killed_after_its_last_epoch_is_closed_without_training(tmp_path):
    first = Driver(tmp_path, max_epochs=1)
    first.search.suggest("a")
    second = Driver(tmp_path, max_epochs=1)
    second.search.suggest("z")
    assert second.result("z", {RESUMED: history(0.4), "epoch": 1, "done": True})
    assert (second.trials[0].state, second.trials[0].value) == (TrialState.COMPLETE, pytest.approx(0.4))


def test_a_continuation_repeats_no_draw_even_if_nothing_had_finished(tmp_path):
    first = Driver(tmp_path, trials=8)
    drawn = [first.search.suggest(name)["hyperparameters"] for name in "abcd"]
    second = Driver(tmp_path, trials=8)
    again = [second.search.suggest(name)["hyperparameters"] for name in "stuvwxyz"]
    assert again[:4] == drawn
    assert not any(configuration in drawn for configuration in again[4:])


def test_a_kill_between_the_two_published_trials_loses_neither(tmp_path):
    study = parse_study(*find_study("quickstart"))
    optuna_study = create_optuna_study(StudyFolder(tmp_path), study)
    optuna_study.enqueue_trial(study.search_space.encode(study.published["baseline"]), user_attrs={"label": "baseline"})
    driver = Driver(tmp_path)
    assert [driver.search.suggest(name)["hyperparameters"] for name in "ab"] == list(study.published.values())


def test_trials_that_were_running_can_be_given_up_with_a_reason(tmp_path):
    driver = Driver(tmp_path)
    driver.search.suggest("a")
    assert driver.ledger.unfinished
    driver.ledger.close_running(failure("lost", "lost: RuntimeError: killed for memory", "Traceback ..."))
    assert driver.trials[0].state == TrialState.FAIL
    assert driver.trials[0].user_attrs["reason"] == "lost: RuntimeError: killed for memory"
