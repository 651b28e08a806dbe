"""An objective that is not a number in some epochs: they are never the best, and a trial without a value diverged."""

import json
import math

import pytest
from optuna.trial import TrialState

from hw2tune.records.arrays import read_npz
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import best_first, trial_rows
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.search.driver import RunEnd
from hw2tune.study.file import find_study, parse_study
from tests.search.test_driver import Driver

NAN, INF = math.nan, math.inf
NEVER = "diverged in epoch 5: validation_accuracy was never finite (nan)"


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([NAN, 0.5, 0.9, NAN, 0.6], 3), ([INF, 0.2, NAN, -INF, 0.1], 2), ([0.4, NAN, INF, NAN, 0.3], 1),
        ([NAN, NAN, NAN, NAN, 0.1], 5),
    ],
)  # fmt: skip
def test_an_epoch_without_a_finite_value_is_never_the_best(tmp_path, values, best):
    driver = Driver(tmp_path)
    driver.next("a")
    driver.run("a", values)
    trial, folder = driver.trials[0], driver.folder.trial(0)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, values[best - 1])
    assert read_npz(folder.weights) == {"epoch": best}
    lines = [json.loads(line, parse_constant=no_constant) for line in folder.epochs.read_text().splitlines()]
    assert [line["validation_accuracy"] for line in lines] == [v if math.isfinite(v) else None for v in values]


def test_a_trial_without_a_finite_value_diverged_and_its_neighbours_go_on(tmp_path):
    driver = Driver(tmp_path)
    for name in "ab":
        driver.next(name)
    driver.epoch("b", 1, 0.5)
    driver.run("a", [NAN] * 5)
    assert driver.trials[1].state == TrialState.RUNNING
    for epoch in (2, 3, 4, 5):
        driver.epoch("b", epoch, 0.5)
    assert [trial.state for trial in driver.trials[:2]] == [TrialState.FAIL, TrialState.COMPLETE]
    row = trial_rows(driver.study, driver.trials, alive=True)[0]
    assert (row.state, row.reason, row.value, row.best_epoch, row.epochs) == ("diverged", NEVER, None, None, 5)


def test_a_trial_that_is_stopped_before_it_has_a_value_diverged(tmp_path):
    driver = Driver(tmp_path, **{"pruner.reduction_factor": 2, "pruner.min_epochs": 2})
    for name in "abc":
        driver.next(name)
    driver.run("a", [0.5] * 5)
    driver.run("b", [0.6] * 5)
    driver.run("c", [NAN] * 5)
    row = trial_rows(driver.study, driver.trials, alive=True)[2]
    assert (row.state, row.epochs) == ("diverged", 2)
    assert row.reason == "diverged in epoch 2: validation_accuracy was never finite (nan)"


def test_an_objective_that_is_never_a_number_ends_the_study_with_its_name(tmp_path):
    driver = Driver(tmp_path, trials=8)
    for name in "abcde":
        driver.next(name)
        driver.run(name, [NAN] * 5)
    assert driver.end is RunEnd.COMMON_FAILURE
    assert driver.policy.common_failure.reason == NEVER


def test_a_journal_in_which_version_0_1_stopped_such_trials_is_read_right(tmp_path):
    """Its best epoch was the first, whatever came after it."""
    study = parse_study(*find_study("quickstart"))
    optuna_study = create_optuna_study(StudyFolder(tmp_path), study)
    for values in ([NAN, 0.7, 0.8], [NAN, NAN], [0.6]):
        trial = optuna_study.ask()
        study.search_space.suggest(trial)
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        optuna_study.tell(trial, state=TrialState.PRUNED)
    rows = trial_rows(study, read_trials(StudyFolder(tmp_path)), alive=False)
    assert [(row.state, row.value, row.best_epoch) for row in rows] == [
        ("pruned", 0.8, 3), ("diverged", None, None), ("pruned", 0.6, 1),
    ]  # fmt: skip
    assert rows[1].reason == "diverged in epoch 2: validation_accuracy was never finite (nan)"
    assert [row.number for row in best_first(rows, "maximize")] == [0, 2]
