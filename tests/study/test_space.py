"""The search space: what is drawn, and how it is stored."""

import optuna

from hw2tune.study import distributions
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import identity

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


def small(space: str):
    text = """
name = "small"
dataset = "synthetic-mnist"
model = "mnist_cnn"
loss = "cross_entropy"
max_epochs = 1
validation_size = 100
[space]
learning_rate = [0.001, 0.01]
SPACE
[references.baseline]
learning_rate = 0.001
batch_size = 32
optimizer = "adam"
[references.l2]
learning_rate = 0.01
batch_size = 32
optimizer = "adam"
"""
    return parse_study(text.replace("SPACE", space), "x")


def test_a_space_of_choices_is_counted_and_one_with_a_real_range_is_not():
    assert SPACE.size() is None
    study = small('batch_size = [32, 64]\noptimizer = ["adam", "adamw"]')
    assert study.search_space.size() == 8 == len(list(study.search_space.configurations()))
    assert study.trials_possible == 8


def test_conditions_count_where_they_hold_and_equal_trainings_count_once():
    study = small(
        'batch_size = 32\noptimizer = ["adam", "sgd"]\n'
        'momentum = { choices = [0, 0.0, 0.9], when = { optimizer = "sgd" } }'.replace("0, 0.0,", "0,")
    )
    assert study.search_space.size() == 2 * (1 + 2)  # adam; sgd with two momenta
    assert identity({"optimizer": "sgd", "learning_rate": 1}) == identity(
        {"learning_rate": 1.0, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0}
    )
    assert identity({"optimizer": "adam"}) != identity({"optimizer": "sgd"})


def test_references_that_are_equal_are_two_trials_of_one_configuration():
    study = small('batch_size = 32\noptimizer = "adam"')
    same = study.model_copy(update={"references": dict.fromkeys(("baseline", "l2"), study.references["baseline"])})
    assert (study.trials_possible, same.trials_possible) == (2, 3)


def test_a_space_of_very_many_choices_is_not_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(distributions, "COUNTED", 7)
    study = small('batch_size = [32, 64]\noptimizer = ["adam", "adamw"]')
    assert study.search_space.size() is None and study.trials_possible == 50
