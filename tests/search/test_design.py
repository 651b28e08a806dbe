"""A space as a unit cube: coordinates to draw from, and features for a model."""

import numpy as np
import pytest

from benchmarks.contestants.unit_cube import point_of
from benchmarks.design import space_filling
from hw2tune.search.design import Features, UnitPoint, coordinates
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.space import Interval, Space


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
    space = study.search_space
    for one in [*space_filling(space, 50, seed=0), *study.references.values()]:
        point = dict.fromkeys(coordinates(space), 0.5) | point_of(space, one)
        assert near(space.suggest(UnitPoint(point)), one)


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_lead_back_to_themselves_and_stay_in_their_range(log):
    one = Interval(low=2, high=64, log=log, integer=True) if log else Interval(low=16, high=64, step=16, integer=True)
    space = Space({"n": one})
    for value in one.values:
        assert space.suggest(UnitPoint(point_of(space, {"n": value}))) == {"n": value}


def test_whole_numbers_are_drawn_up_to_both_ends():
    one = Interval(low=16, high=64, step=16, integer=True)
    assert [one.suggest("n", UnitPoint({"n": u})) for u in (0.0, 0.3, 0.6, 0.999)] == [16, 32, 48, 64]
    log = Interval(low=1, high=100, log=True, integer=True)
    assert [log.suggest("n", UnitPoint({"n": u})) for u in (0.0, 0.999999)] == [1, 100]


def test_features_know_zero_words_and_the_learning_rate_of_the_long_run(study):
    features = Features(study.search_space)
    base = {"learning_rate": 1e-4, "batch_size": 32, "optimizer": "adam", "weight_decay": 0.0}
    sgd = base | {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-6}
    first, second = features([base, sgd])
    assert first.tolist() == pytest.approx([0, 0, 0, 0.5, 0, -0.1, 0.5])
    assert second.tolist() == pytest.approx([1 / 3, 0, 0.5, 0, 0, 0, 0.9 / 0.99])
