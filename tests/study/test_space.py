"""The search space: what is drawn, and how it is stored."""

import optuna

from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import identity
from hw2tune.study.space import Interval

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
    assert SPACE.configurations() is None
    study = small('batch_size = [32, 64]\noptimizer = ["adam", "adamw"]')
    assert len(study.configurations) == 8 == len(study.search_space.configurations())
    assert study.trials_possible == 8


def test_conditions_count_where_they_hold_and_equal_trainings_count_once():
    study = small(
        'batch_size = 32\noptimizer = ["adam", "sgd"]\n'
        'momentum = { choices = [0, 0.0, 0.9], when = { optimizer = "sgd" } }'.replace("0, 0.0,", "0,")
    )
    assert len(study.configurations) == 2 * (1 + 2)  # adam; sgd with two momenta
    assert identity({"optimizer": "sgd", "learning_rate": 1}) == identity(
        {"learning_rate": 1.0, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0}
    )
    assert identity({"optimizer": "adam"}) != identity({"optimizer": "sgd"})


def of_sgd(space: str, **more: object):
    text = """
name = "small"
dataset = "synthetic-mnist"
model = "mnist_cnn"
max_epochs = 1
[training]
optimizer = "sgd"
[space]
learning_rate = [0.1, 0.2]
batch_size = 32
"""
    return parse_study(text + space, "x").model_copy(update=more)


def test_a_space_is_counted_as_it_is_trained():
    assert of_sgd("momentum = [0.0, 0.5, 0.9]\nnesterov = [false, true]").trials_possible == 2 * (1 + 2 * 2)
    assert of_sgd("label_smoothing = { low = 0.0, high = 0.5 }").configurations is None


def test_what_is_given_from_outside_of_the_space_does_not_reduce_it():
    inside = {"learning_rate": 0.1, "batch_size": 32}
    outside = inside | {"label_smoothing": 0.1}
    assert of_sgd("", enqueue=[inside, outside, outside]).trials_possible == 2 + 1
    assert of_sgd("", references={"in": inside, "out": outside}).trials_possible == 2 + 1


def test_a_range_in_steps_ends_at_its_last_value():
    one = Interval(low=16, high=70, step=16, integer=True)
    assert (one.high, one.extremes(), str(one)) == (64, (16, 64), "16..64 in steps of 16")
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert one.suggest("n", drawn) in one.values == [16, 32, 48, 64]


def test_references_that_are_equal_are_one_trial():
    study = small('batch_size = 32\noptimizer = "adam"')
    same = study.model_copy(update={"references": dict.fromkeys(("baseline", "l2"), study.references["baseline"])})
    assert (study.trials_possible, same.trials_possible) == (2, 2)


def test_a_space_of_very_many_choices_is_not_counted_one_by_one(monkeypatch):
    monkeypatch.setattr("hw2tune.study.space.COUNTED", 7)
    study = small('batch_size = [32, 64]\noptimizer = ["adam", "adamw"]')
    assert study.configurations is None and study.trials_possible == 50
