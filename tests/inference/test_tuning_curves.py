"""Tuning curves and their bands."""

from itertools import combinations

import numpy as np
import pytest

from hw2tune.inference.tuning_curves import bands, expected_best, finite, median_best

N = np.arange(1, 31)


def test_the_expected_best_is_the_mean_over_all_samples() -> None:
    values = [0.3, 0.9, 0.1, 0.7, 0.7, 0.2]
    for n in (1, 2, 4, 6):
        assert expected_best(values, n) == pytest.approx(np.mean([max(some) for some in combinations(values, n)]))


def test_the_median_best_is_a_quantile_of_the_values() -> None:
    assert median_best([4, 1, 3, 2], [1, 2, 4]).tolist() == [2, 3, 4]  # 0.5, 0.71 and 0.84 of four values


@pytest.mark.parametrize("draw", [np.random.Generator.random, np.random.Generator.standard_cauchy])
def test_the_band_holds_the_whole_curve_whatever_the_distribution(draw) -> None:
    rng = np.random.default_rng(7)
    truth = np.quantile(draw(rng, 200_000), 0.5 ** (1 / N))
    samples = [bands(draw(rng, 20), N) for _ in range(1000)]
    held = np.mean([np.all((low <= truth) & (truth <= high)) for low, high in samples])
    assert held >= 0.95


def test_the_band_is_exact_and_not_only_wide() -> None:
    """The limits of F hold at all of the values together in 95 % of samples."""
    from hw2tune.inference.tuning_curves import _distribution_bands

    low, high = _distribution_bands(20)
    uniform = np.sort(np.random.default_rng(8).random((20_000, 20)), axis=1)
    assert np.mean(np.all((low <= uniform) & (uniform <= high), axis=1)) == pytest.approx(0.95, abs=0.006)


def test_far_beyond_the_trials_only_the_lower_band_is_known() -> None:
    low, high = bands(np.arange(20.0), [1, 20])
    assert np.isfinite(low).all() and np.isfinite(high[0]) and np.isinf(high[1])


def test_a_failed_training_counts_as_the_worst() -> None:
    assert finite([0.5, None, 0.2]).tolist() == [0.5, 0.2, 0.2] and finite([None]).tolist() == [0.0]
