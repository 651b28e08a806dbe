from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from hw2tune.inference.evidence import covariance_over_images
from hw2tune.inference.intervals import anytime_factor, log_e_value, looks

M3 = 0.05 / 3  # the level of one of three claims


def test_an_e_value_agrees_with_one_computed_by_hand() -> None:
    # Differences 1 and 3: mean 2, deviation sqrt(2), so t = 2 / (sqrt(2) / sqrt(2)) = 2 and t^2 / (n - 1) = 4.
    # E = 3^(-1/2) * ((1 + 4) / (1 + 4 / 3))^(2 / 2) = 15 / 7 / sqrt(3) = 1.2372
    after = looks(np.array([1.0, 3.0]), None, 0.05)
    assert after.log_e == pytest.approx([0, math.log(15 / 7 / math.sqrt(3))])


@pytest.mark.parametrize(("n", "t"), [(2, 0.3), (5, -2.0), (10, 3.5), (40, 1.0)])
def test_an_e_value_is_the_bayes_factor_of_a_standard_normal_effect(n: int, t: float) -> None:
    def weighted(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, math.sqrt(n) * effect) * stats.norm.pdf(effect))

    expected = integrate.quad(weighted, -6, 6, limit=200)[0] / stats.t.pdf(t, n - 1)
    assert math.exp(log_e_value(np.array(n), np.array(t))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.05, M3])
def test_the_anytime_interval_holds_the_differences_that_the_e_value_does_not_reject(alpha: float) -> None:
    differences = np.random.default_rng(3).normal(0.2, 1.0, 12)
    after = looks(differences, None, alpha)
    half = float(after.anytime[-1])
    for inside, factor in ((True, 1 - 1e-9), (False, 1 + 1e-9)):
        for bound in (after.mean[-1] - factor * half, after.mean[-1] + factor * half):
            shifted = looks(differences - bound, None, alpha).log_e[-1]
            assert (shifted < math.log(1 / alpha)) == inside


def test_four_seeds_bound_nothing_at_one_claim_and_five_at_three() -> None:
    n = np.arange(1.0, 8.0)
    assert np.isfinite(anytime_factor(n, 0.05)).tolist() == [False] * 4 + [True] * 3
    assert np.isfinite(anytime_factor(n, M3)).tolist() == [False] * 5 + [True] * 2


def test_the_interval_for_one_look_is_the_t_interval() -> None:
    differences = np.random.default_rng(4).normal(0.2, 1.0, 9)
    after = looks(differences, None, 0.05)
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (after.mean[-1] - after.fixed[-1], after.mean[-1] + after.fixed[-1]) == pytest.approx((low, high))


def test_equal_differences_prove_nothing() -> None:
    after = looks(np.full(6, 0.1), np.zeros((6, 6)), 0.05)
    assert after.log_e.tolist() == [0.0] * 6
    assert np.isinf([after.anytime, after.fixed, after.over_both(True), after.over_both(False)]).all()


def crossed(rng: np.random.Generator, repeats: int, n: int, images: int, sd: tuple[float, float, float]) -> np.ndarray:
    """(repeats, n, images) differences without effect: deviations of seeds, of images, and of both together."""
    seed = rng.normal(0, sd[0], (repeats, n, 1))
    image = rng.normal(0, sd[1], (repeats, 1, images))
    return seed + image + rng.normal(0, sd[2], (repeats, n, images))


def test_the_variance_over_seeds_and_images_is_that_of_means_over_other_seeds_and_images() -> None:
    # The mean of 6 seeds x 50 images has the variance 0.1^2 / 6 + 0.7^2 / 50 + 1 / 300.
    differences = crossed(np.random.default_rng(5), 4000, 6, 50, (0.1, 0.7, 1.0))
    means = differences.mean(axis=-1)
    after = looks(means, covariance_over_images(differences), 0.05)
    truth = 0.01 / 6 + 0.49 / 50 + 1 / 300
    assert means.mean(axis=-1).var() == pytest.approx(truth, rel=0.06)
    covered = np.abs(after.mean[:, -1]) <= after.over_both(True)[:, -1]
    assert 0.94 <= covered.mean() <= 0.98
    assert after.of_images[:, -1].mean() == pytest.approx(0.49 / 50, rel=0.06)


def test_without_an_effect_of_images_the_interval_over_both_is_about_the_t_interval() -> None:
    differences = crossed(np.random.default_rng(6), 500, 8, 2000, (0.5, 0.0, 1.0))
    after = looks(differences.mean(axis=-1), covariance_over_images(differences), 0.05)
    ratio = after.over_both(True)[:, -1] / after.fixed[:, -1]
    assert (ratio >= 1).all() and np.median(ratio) < 1.02


def test_the_covariance_over_images_is_that_of_bootstrap_samples() -> None:
    rng = np.random.default_rng(7)
    differences = rng.normal(0, 1, (3, 200)) + rng.normal(0, 1, 200)
    samples = differences[:, rng.integers(0, 200, (4000, 200))].mean(axis=-1)
    assert np.cov(samples) == pytest.approx(covariance_over_images(differences), rel=0.12)
