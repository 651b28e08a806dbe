"""A trial that failed by itself is known: to the sampler, at the rungs and in the budget. A machine's fault is not."""

import math

import numpy as np
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState

from benchmarks.failing import EDGES, FIRST, UNAWARE, run
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import trial_rows
from hw2tune.search.driver import Done
from hw2tune.search.failures import Failure
from hw2tune.study.file import dump_study
from tests.search.test_driver import LOST, Driver

DIVERGED = Failure(state="diverged", reason="diverged in epoch 1: loss nan", machine="a")
RAISED = Failure(state="failed", reason="failed in its preparation: ValueError: too wide", transient=True, machine="a")
FULL = Failure(state="out of memory", reason="out of memory in epoch 1", transient=True, machine="a")


@pytest.mark.parametrize("edge", [*EDGES][:2])
def test_few_later_trials_fail_beyond_an_edge_and_the_best_is_not_behind(edge):
    """As in `benchmarks.failing`, where over 12 seeds best minus UNAWARE's has a standard deviation of 0.004."""
    seeds = range(FIRST, FIRST + 3)
    unaware, aware = (np.array([run(edge, one, seed) for seed in seeds]).mean(0) for one in (UNAWARE, "tpe"))
    assert aware[0] < 0.3 and aware[0] < unaware[0]
    assert aware[1] > unaware[1] - 3 * 0.004 / 3**0.5


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
    driver = failing(tmp_path, DIVERGED, FULL, RAISED, LOST, sampler="gp")
    driver.next("worst")
    driver.run("worst", [0.2] * 5)
    seen = told(driver)
    assert [seen[number].value for number in (0, 2, 3, 4, 6)] == [0.5, 0.2, 0.2, 0.2, 0.2]
    assert seen[5].state is TrialState.FAIL and seen[5].value is None
    assert [trial.state for trial in driver.trials[2:6]] == [TrialState.FAIL] * 4  # the storage holds what was


def test_of_the_three_best_trials_tpe_counts_the_pruned_one_and_none_that_failed_by_itself(tmp_path):
    """As complete with the worst value these would be before every pruned one."""
    driver = failing(tmp_path, DIVERGED, FULL, LOST)
    driver.next("pruned")
    driver.run("pruned", [0.1])
    assert driver.trials[-1].state is TrialState.PRUNED
    seen = [one for one in told(driver).values() if one.number != 4 and one.state is not TrialState.RUNNING]
    good, others = _split_trials(driver.recorder.optuna_study, seen, 3)
    assert ([one.number for one in good], [one.number for one in others]) == ([0, 1, 5], [2, 3])


def test_an_epoch_in_which_a_trial_diverged_is_spent(tmp_path):
    driver = failing(tmp_path, *[DIVERGED] * 3, LOST, RAISED, budget=3, trials=100)
    assert driver.recorder.epochs_spent == 10 + 3
    driver.next("a")
    assert not driver.epoch("a", 1, 0.5)
    driver.fails("a", Failure(state="diverged", reason="diverged in epoch 2: loss nan"))
    assert driver.next("b") == Done()
    driver.folder.study_file.write_text(dump_study(driver.study))
    overview = read_overview(driver.folder)
    assert (overview.state, overview.done) == ("complete", 15)
    assert [row.epochs for row in overview.rows] == [5, 5, 0, 0, 0, 0, 0, 1]


def test_a_trial_whose_objective_never_was_a_number_has_spent_the_epochs_that_it_trained(tmp_path):
    driver = failing(tmp_path, **{"pruner.name": "none"})
    driver.next("a")
    driver.run("a", [math.nan] * 5)
    row = trial_rows(driver.study, driver.trials, alive=False)[2]
    assert (row.state, row.epochs, row.epochs_spent) == ("diverged", 5, 5)


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_that_raises_an_error_is_drawn_less_and_less(tmp_path, seed):
    """Of three; where such trials told nothing, it was drawn in half of the later ones."""
    driver = failing(tmp_path, trials=42, seed=seed, **{"pruner.name": "none"})
    raised = []
    for number in range(40):
        driver.next("it")
        trial = driver.trials[-1]
        raised.append(driver.study.search_space.decode(trial.params)["optimizer"] == "sgd")
        if raised[-1]:
            driver.fails("it", RAISED)
        else:
            driver.run("it", [0.3 + 0.001 * number] * 5)
    assert sum(raised[:20]) > 0 and sum(raised[20:]) <= 2
