from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hw2tune.inference.statistics import holm, median_seed, summarize, wilson


def test_an_interval_agrees_with_one_computed_by_hand() -> None:
    # mean 3, squares of deviations 4 + 1 + 0 + 1 + 4 = 10, sd = sqrt(10 / 4); t(0.975, 4) = 2.776 in printed tables
    summary = summarize([1, 2, 3, 4, 5])
    assert (summary.n, summary.mean) == (5, 3.0)
    assert summary.sd == pytest.approx(math.sqrt(2.5))
    assert summary.low == pytest.approx(3 - 2.776 * math.sqrt(2.5 / 5), abs=1e-3)
    assert summary.high == pytest.approx(3 + 2.776 * math.sqrt(2.5 / 5), abs=1e-3)


def test_one_value_has_neither_deviation_nor_interval() -> None:
    summary = summarize([0.9])
    assert (summary.n, summary.mean, summary.sd, summary.low, summary.high) == (1, 0.9, None, None, None)


def test_the_interval_covers_the_truth_in_95_of_100_simulations() -> None:
    random, trials = np.random.default_rng(1), 2000
    samples = random.normal(0.3, 1.0, (trials, 5))
    covered = sum(s.low <= 0.3 <= s.high for s in map(summarize, samples) if s.low is not None and s.high is not None)
    low, high = stats.binom.interval(0.999, trials, 0.95)
    assert low <= covered <= high


def test_the_median_seed_has_the_median_difference() -> None:
    assert median_seed([3, 5, 7], [0.02, 0.09, 0.01]) == 3  # the mean, 0.04, is nearer to 0.02 as well
    assert median_seed([3, 5, 7, 8, 9], [0.01, 0.02, 0.03, 0.06, 0.60]) == 7  # the mean, 0.144, is not


def test_of_two_middle_seeds_the_lower_one_stands_for_all() -> None:
    assert median_seed([9, 4, 2, 6], [0.1, 0.2, 0.3, 0.4]) == 2
    assert median_seed([8], [0.1]) == 8


def test_wilsons_interval_agrees_with_one_computed_by_hand() -> None:
    # 8 of 10: centre (0.8 + z2 / 20) / (1 + z2 / 10), half width z sqrt(0.016 + z2 / 400) / (1 + z2 / 10)
    z = 1.959964
    centre, half = (0.8 + z**2 / 20) / (1 + z**2 / 10), z * math.sqrt(0.016 + z**2 / 400) / (1 + z**2 / 10)
    interval = wilson(8, 10)
    assert interval is not None
    assert interval == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_wilsons_interval_of_nothing_is_none_and_of_no_success_starts_at_zero() -> None:
    nothing, none_right = wilson(0, 0), wilson(0, 10)
    assert nothing is None
    assert none_right is not None
    assert none_right[0] == 0.0
    assert 0.2 < none_right[1] < 0.4


def test_holms_correction_agrees_with_one_computed_by_hand() -> None:
    # In order 0.01 * 4, 0.03 * 3 = 0.09, 0.04 * 2 = 0.08 that is not below the one before.
    assert holm([0.04, 0.01, 1.0, 0.03]) == pytest.approx([0.09, 0.04, 1.0, 0.09])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
