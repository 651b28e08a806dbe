"""Optuna's part: sampler and pruner of a study."""

import random

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from hw2tune.search.asha import Asha
from hw2tune.search.bounded_tpe import BEST, SEEN, BoundedTPESampler, History
from hw2tune.search.pruners import build_pruner
from hw2tune.search.samplers import build_sampler
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


def halved(optuna_study, pruner_of, *, restart_at=None):
    """Six trials at once report epochs in a random order; the numbers of those that each epoch's verdict ends."""
    chance, live, verdicts = random.Random(1), {}, []
    optuna_study.pruner = pruner_of()
    for turn in range(300):
        if turn == restart_at:
            optuna_study.pruner = pruner_of()
        if len(live) < 6:
            trial = optuna_study.ask()
            live[trial.number] = (trial, 0)
        number = chance.choice(sorted(live))
        trial, epoch = live.pop(number)
        trial.report(chance.random(), epoch + 1)
        verdicts.append((number, trial.should_prune()))
        if verdicts[-1][1] or epoch == 9:
            optuna_study.tell(trial, state=TrialState.PRUNED)
        else:
            live[number] = (trial, epoch + 1)
    return verdicts


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("factor", [2, 3])
def test_asha_decides_as_optunas_pruner_does_also_after_a_restart(direction, factor):
    expected = halved(
        optuna.create_study(direction=direction),
        lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor),
    )
    ours = halved(
        optuna.create_study(direction=direction), lambda: Asha(min_epochs=1, reduction_factor=factor), restart_at=150
    )
    assert ours == expected
    assert {verdict for _, verdict in ours} == {True, False}


def searched(sampler, trials):
    """A search of two at once in a space with a condition; some trials end early."""
    settings = study()
    optuna_study = optuna.create_study(direction="maximize", sampler=sampler)
    live, drawn = [], []
    for turn in range(trials):
        live.append(optuna_study.ask())
        drawn.append(settings.search_space.suggest(live[-1]))
        if len(live) == 2:
            trial = live.pop(0)
            value = -abs(trial.params["learning_rate"] - 0.01)
            trial.report(value, 1)
            if turn % 3:
                optuna_study.tell(trial, state=TrialState.PRUNED)
            else:
                optuna_study.tell(trial, value)
    return optuna_study, drawn


OPTIONS = {"seed": 3, "multivariate": True, "group": True, "constant_liar": True}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_bounded_sampler_draws_what_tpe_draws_while_it_sees_every_trial():
    assert searched(BoundedTPESampler(**OPTIONS), 60)[1] == searched(TPESampler(**OPTIONS), 60)[1]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_bounded_sampler_sees_the_running_the_best_and_the_latest_trials():
    optuna_study, _ = searched(optuna.samplers.RandomSampler(seed=0), SEEN + 100)
    seen = History(optuna_study).get_trials(deepcopy=False)
    trials = optuna_study.trials
    complete = sorted((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: -t.value)
    assert {t.number for t in complete[:BEST]} <= {t.number for t in seen}
    assert {t.number for t in trials[-100:]} <= {t.number for t in seen}
    assert len(seen) <= SEEN + 1 and seen[-1].state == TrialState.RUNNING
    assert [t.number for t in seen] == sorted(t.number for t in seen)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_bounded_sampler_follows_a_study_as_it_grows():
    optuna_study, _ = searched(BoundedTPESampler(**OPTIONS), 40)
    optuna_study.ask()  # the sampler reads what has changed when it draws
    shown = optuna_study.sampler._history.get_trials(deepcopy=False)
    assert [(t.number, t.state, t.params) for t in shown] == [
        (t.number, t.state, t.params) for t in optuna_study.trials[:-1]
    ]
