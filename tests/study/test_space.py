"""The search space: what is drawn, and how it is stored."""

import optuna

from hw2tune.study.file import find_study, parse_study

SPACE = parse_study(*find_study("cifar10")).search_space


def draws(count: int) -> list[tuple[dict, dict]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trials = [study.ask() for _ in range(count)]
    return [(SPACE.suggest(trial), trial.params) for trial in trials]


def test_momentum_is_drawn_with_sgd_only():
    optimizers = {(drawn["optimizer"], "momentum" in drawn) for drawn, _ in draws(60)}
    assert optimizers == {("sgd", True), ("adam", False), ("adamw", False)}


def test_weight_decay_is_exactly_zero_about_half_the_time_and_else_in_its_range():
    decays = [drawn["weight_decay"] for drawn, _ in draws(200)]
    zeros = sum(decay == 0 for decay in decays)
    assert 70 <= zeros <= 130  # four standard deviations of a fair coin
    assert all(decay == 0 or 1e-6 <= decay <= 1e-1 for decay in decays)


def test_what_optuna_stores_reads_back_as_what_was_drawn():
    for drawn, stored in draws(60):
        assert SPACE.decode(stored) == drawn
        assert SPACE.encode(drawn) == stored


def test_a_trial_taken_up_again_draws_what_it_drew():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    first = study.ask()
    drawn = SPACE.suggest(first)
    again = optuna.trial.Trial(study, first._trial_id)
    assert SPACE.suggest(again) == drawn
