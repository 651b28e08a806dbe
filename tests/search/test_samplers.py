"""Optuna's part: sampler and pruner of a study."""

import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.study.file import find_study, parse_study


def study(**overrides):
    return parse_study(*find_study("quickstart"), overrides=overrides)


def draw(settings, trials_drawn, count=4):
    optuna_study = optuna.create_study(direction="maximize", sampler=build_sampler(settings, trials_drawn))
    return [settings.search_space.suggest(optuna_study.ask()) for _ in range(count)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_continuation_does_not_replay_the_draws_of_the_first_run(sampler):
    settings = study(sampler=sampler)
    assert draw(settings, 2) == draw(settings, 2)
    assert not any(params in draw(settings, 2) for params in draw(settings, 6))
    assert draw(study(sampler=sampler, seed=1), 2) != draw(settings, 2)


def asked(settings, values, epoch):
    """What the pruner says to each of these values at the same epoch, in this order."""
    optuna_study = optuna.create_study(direction=settings.direction, pruner=build_pruner(settings))
    answers = []
    for value in values:
        trial = optuna_study.ask()
        trial.report(value, epoch)
        answers.append(trial.should_prune())
        if answers[-1]:
            optuna_study.tell(trial, state=TrialState.PRUNED)
        else:
            optuna_study.tell(trial, value)
    return answers


def test_asha_keeps_one_in_reduction_factor_at_each_rung():
    settings = study(**{"pruner.reduction_factor": 2, "pruner.min_epochs": 1})
    assert asked(settings, [0.5, 0.4, 0.6, 0.3, 0.7], epoch=1) == [False, True, False, True, False]


def test_no_pruner_prunes_nothing_and_asha_waits_for_its_first_rung():
    assert not any(asked(study(**{"pruner.name": "none"}), [0.5, 0.4, 0.1], epoch=1))
    assert not any(asked(study(**{"pruner.min_epochs": 2}), [0.5, 0.4, 0.1], epoch=1))


def test_a_loss_is_pruned_where_it_is_high():
    settings = study(objective="validation_loss", **{"pruner.reduction_factor": 2, "pruner.min_epochs": 1})
    assert asked(settings, [0.5, 0.6, 0.4], epoch=1) == [False, True, False]


def test_median_lets_every_trial_have_its_first_epochs():
    settings = study(**{"pruner.name": "median", "pruner.min_epochs": 2})
    assert not any(asked(settings, [0.5, 0.6, 0.7, 0.8, 0.1, 0.2], epoch=1))
    assert asked(settings, [0.5, 0.6, 0.7, 0.8, 0.1], epoch=2) == [False, False, False, False, True]


def test_median_prunes_below_the_median_of_four_and_more():
    settings = study(**{"pruner.name": "median", "pruner.min_epochs": 1})
    assert asked(settings, [0.5, 0.6, 0.7, 0.8, 0.1, 0.9], epoch=1) == [False, False, False, False, True, False]


def landscape(configuration):
    """0.9 at one learning rate and weight decay, less elsewhere; sgd is worse."""
    rate = (np.log10(configuration["learning_rate"]) + 2.5) ** 2
    decay = 0.1 * (np.log10(configuration["weight_decay"] or 1e-7) + 4) ** 2
    return 0.9 - 0.1 * rate - 0.05 * decay - 0.1 * (configuration["optimizer"] == "sgd")


def best_of(settings, trials=25):
    found = optuna.create_study(direction="maximize", sampler=build_sampler(settings, 0))
    values = []
    for _ in range(trials):
        trial = found.ask()
        values.append(landscape(settings.search_space.suggest(trial)))
        trial.report(values[-1], 1)
        found.tell(trial, values[-1])
    return max(values)


def test_the_default_finds_more_than_chance_and_the_same_with_the_same_seed():
    ours, random = ([best_of(study(seed=seed, sampler=one)) for seed in range(40)] for one in ("tpe", "random"))
    assert np.mean(ours) > np.mean(random) + 0.005
    assert sum(a > b for a, b in zip(ours, random, strict=True)) >= 28
    assert study().sampler.name == "tpe" and ours[:2] == [best_of(study(seed=seed)) for seed in range(2)]


def test_a_value_that_is_no_number_and_equal_values_stop_nothing():
    settings = study()
    found = optuna.create_study(direction="maximize", sampler=build_sampler(settings, 0))
    for number in range(14):
        trial = found.ask()
        settings.search_space.suggest(trial)
        trial.report(float("nan") if number % 3 == 0 else 0.1, 1)
        found.tell(trial, state=TrialState.PRUNED)
    assert len(found.trials) == 14


def test_the_driver_does_without_torch():
    code = "import sys, hw2tune.search.algorithms; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
