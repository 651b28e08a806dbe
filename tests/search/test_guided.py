"""The sampler `guided` and what it stands on: coordinates, a model, and draws near what is good."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from benchmarks.design import space_filling
from hw2tune.search.algorithms import build_sampler
from hw2tune.search.design import Cube, UnitPoint, coordinates
from hw2tune.search.driver import Assignment
from hw2tune.search.guided import BEST, OTHERS, GaussianProcess, GuidedSampler, _few, _Known, expected_improvement
from hw2tune.search.view import as_stored
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.space import Interval, Space
from tests.search.test_driver import Driver


@pytest.fixture(scope="module")
def study():
    return parse_study(*find_study("quickstart"))


def near(found, configuration):
    return found.keys() == configuration.keys() and all(
        found[name] == pytest.approx(value, rel=1e-9) if isinstance(value, float) else found[name] == value
        for name, value in configuration.items()
    )


def test_sobol_points_fill_the_space_evenly_and_begin_alike(study):
    drawn = space_filling(study.search_space, 256, seed=3)
    assert drawn[:10] == space_filling(study.search_space, 10, seed=3)
    assert not any(study.search_space.validation_errors(one) for one in drawn)
    assert sum(one["weight_decay"] == 0 for one in drawn) == 128  # a power of two halves every coordinate
    rates = np.log10([one["learning_rate"] for one in drawn])
    assert np.histogram(rates, bins=4, range=(-4, -1))[0].tolist() == pytest.approx([64] * 4, abs=3)
    assert all(("momentum" in one) == (one["optimizer"] == "sgd") for one in drawn)


def test_coordinates_lead_back_to_the_configuration(study):
    cube, space = Cube(study.search_space), study.search_space
    for one in [*space_filling(space, 50, seed=0), *study.references.values()]:
        point = dict.fromkeys(coordinates(space), 0.5) | cube.coordinates(one)
        assert near(space.suggest(UnitPoint(point)), one)


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_lead_back_to_themselves_and_stay_in_their_range(log):
    one = Interval(low=2, high=64, log=log, integer=True) if log else Interval(low=16, high=64, step=16, integer=True)
    space = Space({"n": one})
    sampler = GuidedSampler(SimpleNamespace(search_space=space, references={}, direction="maximize"), seed=0)
    for value in one.values:
        assert space.suggest(UnitPoint(Cube(space).coordinates({"n": value}))) == {"n": value}
        drawn = {space.suggest(UnitPoint(sampler._near({"n": value})))["n"] for _ in range(200)}
        assert drawn <= set(one.values) and len(drawn) > 2


def test_whole_numbers_are_drawn_up_to_both_ends():
    one = Interval(low=16, high=64, step=16, integer=True)
    assert [one.suggest("n", UnitPoint({"n": u})) for u in (0.0, 0.3, 0.6, 0.999)] == [16, 32, 48, 64]
    log = Interval(low=1, high=100, log=True, integer=True)
    assert [log.suggest("n", UnitPoint({"n": u})) for u in (0.0, 0.999999)] == [1, 100]


def test_features_know_zero_words_and_the_learning_rate_of_the_long_run(study):
    cube = Cube(study.search_space)
    base = {"learning_rate": 1e-4, "batch_size": 32, "optimizer": "adam", "weight_decay": 0.0}
    sgd = base | {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-6}
    first, second = cube.features([base, sgd])
    assert first.tolist() == pytest.approx([0, 0, 0, 0.5, 0, -0.1, 0.5])
    assert second.tolist() == pytest.approx([1 / 3, 0, 0.5, 0, 0, 0, 0.9 / 0.99])


def test_the_model_knows_what_it_has_seen_and_how_little_it_knows_elsewhere():
    x = np.linspace(0, 1, 20)[:, None]
    model = GaussianProcess(x, np.sin(6 * x[:, 0]))
    mean, deviation = model.predict(np.array([[0.5], [3.0]]))
    assert mean[0] == pytest.approx(np.sin(3.0), abs=0.1)
    assert deviation[0] < 0.3 < 0.6 < deviation[1]


def test_expected_improvement_is_what_many_draws_give():
    draws = np.random.default_rng(0).normal(0.3, 0.5, 200_000)
    found = expected_improvement(np.array([0.3]), np.array([0.5]), 0.4)
    assert found[0] == pytest.approx(np.maximum(draws - 0.4, 0).mean(), abs=0.005)


def landscape(configuration):
    """0.9 at one learning rate and weight decay, less elsewhere; sgd is worse."""
    rate = (np.log10(configuration["learning_rate"]) + 2.5) ** 2
    decay = 0.1 * (np.log10(configuration["weight_decay"] or 1e-7) + 4) ** 2
    return 0.9 - 0.1 * rate - 0.05 * decay - 0.1 * (configuration["optimizer"] == "sgd")


def best_of(study, sampler, trials=25):
    found = optuna.create_study(direction="maximize", sampler=sampler)
    values = []
    for _ in range(trials):
        trial = found.ask()
        values.append(landscape(study.search_space.suggest(trial)))
        trial.report(values[-1], 1)
        found.tell(trial, values[-1])
    return max(values)


def test_it_finds_more_than_chance_and_the_same_with_the_same_seed(study):
    ours = [best_of(study, build_sampler(study, number)) for number in range(12)]
    random = [best_of(study, optuna.samplers.RandomSampler(seed=number)) for number in range(12)]
    assert np.mean(ours) > np.mean(random) + 0.005
    assert sum(a > b for a, b in zip(ours, random, strict=True)) >= 9
    assert ours[:2] == [best_of(study, build_sampler(study, number)) for number in range(2)]


def test_the_model_begins_at_the_ninth_draw_and_leaves_every_fourth_to_the_mixture(tmp_path):
    modelled = []

    class Watched(GuidedSampler):
        def _modelled(self, *known):
            modelled.append(len(driver.trials) - len(driver.study.references) + 1)
            return super()._modelled(*known)

    driver = Driver(tmp_path, trials=18)
    driver.recorder.optuna_study.sampler = Watched(driver.study, seed=0)
    while isinstance(given := driver.next("a"), Assignment):
        driver.run("a", [landscape(given.hyperparameters)] * 5)
    assert modelled == [9, 10, 11, 13, 14, 15]


def test_it_draws_near_the_references_before_it_knows_anything(study):
    sampler = GuidedSampler(study, seed=0, random=0.0, moved=0.0)
    points = [study.search_space.suggest(UnitPoint(sampler.propose([]))) for _ in range(10)]
    assert all(any(near(point, one) for one in study.references.values()) for point in points)


def test_what_another_study_found_is_a_centre_from_the_first_draw_on(study):
    configuration = {"learning_rate": 0.02, "batch_size": 32, "optimizer": "adam", "weight_decay": 0.0}
    of_other = as_stored(study.search_space, configuration, value=0.99, intermediate_values={1: 0.99})
    sampler = GuidedSampler(study, seed=0, prior=False, random=0.0, moved=0.0)
    assert study.search_space.suggest(UnitPoint(sampler.propose([of_other])))["learning_rate"] == pytest.approx(0.02)


def test_a_value_that_is_no_number_and_equal_values_stop_nothing(study):
    found = optuna.create_study(direction="maximize", sampler=build_sampler(study, 0))
    for number in range(14):
        trial = found.ask()
        study.search_space.suggest(trial)
        trial.report(float("nan") if number % 3 == 0 else 0.1, 1)
        found.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert len(found.trials) == 14


def test_of_thousands_the_model_sees_the_best_and_some_others():
    few = _few([_Known({}, float(value)) for value in range(5000)])
    assert [one.value for one in few[:BEST]] == [float(value) for value in range(4999, 4999 - BEST, -1)]
    assert BEST < len(few) <= BEST + OTHERS


def test_the_driver_does_without_torch():
    code = "import sys, hw2tune.search.algorithms; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
