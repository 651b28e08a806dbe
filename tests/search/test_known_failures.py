"""A trial that failed by itself is known: to the sampler, at the rungs and in the budget. A machine's fault is not."""

import math

import numpy as np
import pytest
from optuna.trial import TrialState

from benchmarks.failing import EDGES, run
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import trial_rows
from hw2tune.search.driver import Done
from hw2tune.search.failures import Failure
from hw2tune.study.file import dump_study
from tests.search.test_driver import LOST, Driver

DIVERGED = Failure(state="diverged", reason="diverged in epoch 1: loss nan", machine="a")
FULL = Failure(state="out of memory", reason="out of memory in epoch 1", transient=True, machine="a")


@pytest.mark.parametrize("edge", [*EDGES][:2])
def test_few_later_trials_fail_beyond_an_edge_and_the_best_is_not_behind_tpes(edge):
    """As in `benchmarks.failing`, where over 12 seeds guided's best minus tpe's has a standard deviation of 0.006.

    Told the worst value and no more, `guided` fails in 27 and 37 % of these trials, its mixture alone in 32 and 40 %.
    """
    runs = {one: np.array([run(edge, one, seed) for seed in range(3)]) for one in ("tpe", "guided", "mixture")}
    failed, best = {one: found[:, 0].mean() for one, found in runs.items()}, runs["guided"] - runs["tpe"]
    assert max(failed["guided"], failed["mixture"]) < 0.2
    assert failed["tpe"] < 0.5  # as it is told the worst value
    assert best[:, 1].mean() > -3 * 0.006 / 3**0.5


def failing(root, *failures, **overrides):
    """A study whose references are trained, and then a trial of each failure."""
    driver = Driver(root, retries=0, **{"trials": 20, **overrides})
    for name in ("baseline", "l2"):
        driver.next(name)
        driver.run(name, [0.5] * 5)
    for number, failure in enumerate(failures):
        driver.next(f"f{number}")
        driver.fails(f"f{number}", failure)
    return driver


def told(driver):
    """What the sampler reads."""
    seen = []
    driver.recorder.optuna_study.sampler.before_trial = lambda study, trial: seen.append(study.get_trials())
    driver.next("asks")
    return {trial.number: trial for trial in seen[0]}


def test_a_sampler_is_told_the_worst_value_for_what_failed_by_itself_and_nothing_for_a_lost_trial(tmp_path):
    driver = failing(tmp_path, DIVERGED, FULL, LOST, sampler="tpe")
    driver.next("worst")
    driver.run("worst", [0.2] * 5)
    seen = told(driver)
    assert [seen[number].value for number in (0, 2, 3, 5)] == [0.5, 0.2, 0.2, 0.2]
    assert seen[4].state is TrialState.FAIL and seen[4].value is None
    assert [trial.state for trial in driver.trials[2:5]] == [TrialState.FAIL] * 3  # the storage holds what was


def test_an_epoch_in_which_a_trial_diverged_is_spent(tmp_path):
    driver = failing(tmp_path, *[DIVERGED] * 3, LOST, budget=3, trials=100)
    assert driver.recorder.epochs_spent == 10 + 3
    driver.next("a")
    assert not driver.epoch("a", 1, 0.5)
    driver.fails("a", Failure(state="diverged", reason="diverged in epoch 2: loss nan"))
    assert driver.next("b") == Done()
    driver.folder.study_file.write_text(dump_study(driver.study))
    overview = read_overview(driver.folder)
    assert (overview.state, overview.done) == ("complete", 15)
    assert [row.epochs for row in overview.rows] == [5, 5, 0, 0, 0, 0, 1]


def test_a_trial_whose_objective_never_was_a_number_has_spent_the_epochs_that_it_trained(tmp_path):
    driver = failing(tmp_path, **{"pruner.name": "none"})
    driver.next("a")
    driver.run("a", [math.nan] * 5)
    row = trial_rows(driver.study, driver.trials, alive=False)[2]
    assert (row.state, row.epochs, row.epochs_spent) == ("diverged", 5, 5)
