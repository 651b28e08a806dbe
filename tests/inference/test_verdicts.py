from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import (
    BETTER,
    SINGLE_RUN,
    THE_SAME,
    UNDECIDED,
    WORSE,
    Rule,
    decide,
    futile,
    needed_seeds,
)

NO_IMAGES = 1e-12  # variance of the mean over test images that is none


def evidence(differences: Any, *, images: float = NO_IMAGES, **more: Any) -> Evidence:
    array = np.asarray(differences, dtype=float)
    n = len(array)
    known = {"trained": n, "worth": 0.5} | more
    known = {"over_images": np.full((n, n), images)} | known
    return Evidence(variant="a", against="b", seeds=tuple(range(n)), differences=array, images=500, **known)


ALTERNATING = np.array([0.9, 1.1] * 5)  # mean 1; five seeds are the first that bound it


def test_better_is_reached_at_the_first_number_of_seeds_that_suffices_and_stays() -> None:
    (verdict,) = decide([evidence(ALTERNATING)], Rule())
    assert (verdict.word, verdict.reached, verdict.n, verdict.within) == (BETTER, 5, 10, False)
    later = [*ALTERNATING, -9.0, -9.0, -9.0]  # by themselves, 13 such seeds decide nothing
    (verdict,) = decide([evidence(later)], Rule())
    assert (verdict.word, verdict.reached, verdict.n) == (BETTER, 5, 13)
    assert verdict.interval is not None and verdict.interval[0] < 0


def test_the_number_of_claims_makes_a_verdict_dearer() -> None:
    reached = [decide([evidence(ALTERNATING)], Rule(claims=m))[0].reached for m in (1, 3, 6, 200)]
    assert reached == sorted(reached, key=lambda n: n or 99) and len(set(reached)) > 1


def test_worse_is_better_with_the_sides_swapped() -> None:
    (verdict,) = decide([evidence(-ALTERNATING)], Rule())
    assert (verdict.word, verdict.reached) == (WORSE, 5)


def test_no_verdict_where_other_test_images_may_undo_it() -> None:
    # By hand for 10 seeds: L = 0.2 * (log(20) + log(11) / 2) = 0.8389, 3 * sqrt((e^L - 1) / (1 - e^L / 11)) = 3.832
    # times 0.1054 / sqrt(10), in quadrature with the normal quantile of 1 - 0.05 / 4, 2.2414, times sqrt(0.3).
    (sure,) = decide([evidence(ALTERNATING, images=0.15)], Rule())
    (unsure,) = decide([evidence(ALTERNATING, images=0.3)], Rule())
    assert (sure.word, unsure.word) == (BETTER, UNDECIDED)
    assert unsure.e_value is not None and unsure.e_value > 20
    half = math.hypot(3.832 * 0.1054 / math.sqrt(10), 2.2414 * math.sqrt(0.3))
    assert unsure.two_way == pytest.approx((1 - half, 1 + half), abs=1e-3)


def test_without_predictions_nothing_is_decided() -> None:
    known = evidence(ALTERNATING)
    (verdict,) = decide([Evidence(**{**vars(known), "over_images": None})], Rule())
    assert (verdict.word, verdict.two_way, verdict.interval) == (UNDECIDED, None, None)
    assert verdict.seeds_interval is not None


def test_predictions_that_are_missing_later_leave_a_verdict_as_it_was_reached() -> None:
    covariance = np.full((10, 10), NO_IMAGES)
    covariance[6, :] = covariance[:, 6] = np.nan
    (verdict,) = decide([evidence(ALTERNATING, over_images=covariance)], Rule())
    assert (verdict.word, verdict.reached, verdict.n, verdict.two_way) == (BETTER, 5, 10, None)
    covariance[3, :] = covariance[:, 3] = np.nan
    (verdict,) = decide([evidence(ALTERNATING, over_images=covariance)], Rule())
    assert verdict.word == UNDECIDED


def test_differences_that_are_equal_but_for_rounding_show_no_spread() -> None:
    differences = [4 / 7 - 3 / 7, 2 / 7 - 1 / 7, 6 / 7 - 5 / 7, 1 / 7, 5 / 7 - 4 / 7]
    (verdict,) = decide([evidence(differences)], Rule())
    assert (verdict.word, verdict.sd) == (UNDECIDED, 0.0)


def test_the_same_is_reached_when_both_intervals_are_inside_the_worth() -> None:
    (verdict,) = decide([evidence(ALTERNATING - 1)], Rule())
    assert (verdict.word, verdict.within, verdict.reached) == (THE_SAME, True, None)
    assert verdict.same_reached is not None and verdict.interval is not None
    assert -0.5 < verdict.interval[0] < 0 < verdict.interval[1] < 0.5
    (verdict,) = decide([evidence(ALTERNATING - 1, worth=None)], Rule())
    assert (verdict.word, verdict.within) == (UNDECIDED, False)


def test_better_by_less_than_the_worth_says_both() -> None:
    (verdict,) = decide([evidence(ALTERNATING, worth=2.0)], Rule())
    assert (verdict.word, verdict.within) == (BETTER, True)


def test_a_side_that_fails_on_more_seeds_is_not_better_and_not_the_same() -> None:
    (verdict,) = decide([evidence(ALTERNATING, failed=(2, 1))], Rule())
    assert (verdict.word, verdict.withheld) == (UNDECIDED, True)
    (verdict,) = decide([evidence(ALTERNATING, failed=(1, 2))], Rule())
    assert (verdict.word, verdict.withheld) == (BETTER, False)
    (verdict,) = decide([evidence(-ALTERNATING, failed=(1, 2))], Rule())
    assert (verdict.word, verdict.withheld) == (UNDECIDED, True)
    (verdict,) = decide([evidence(ALTERNATING - 1, failed=(1, 0))], Rule())
    assert (verdict.word, verdict.within, verdict.withheld) == (UNDECIDED, False, True)


def test_one_seed_is_a_single_run() -> None:
    (verdict,) = decide([evidence([0.3])], Rule())
    assert (verdict.word, verdict.n, verdict.sd, verdict.interval) == (SINGLE_RUN, 1, None, None)


def test_a_number_of_seeds_that_was_fixed_is_judged_once_by_holm() -> None:
    rng = np.random.default_rng(8)
    values = [rng.normal(mean, 0.3, 6) for mean in (1.2, 0.2, 0.0)]
    verdicts = decide([evidence(each) for each in values], Rule(claims=3, fixed=6))
    p = sorted(float(stats.ttest_1samp(each, 0).pvalue) for each in values)
    by_hand = [min(1, 3 * p[0]), min(1, max(3 * p[0], 2 * p[1])), min(1, max(3 * p[0], 2 * p[1], p[2]))]
    assert sorted(verdict.p or 0 for verdict in verdicts) == pytest.approx(by_hand)
    low, high = stats.ttest_1samp(values[0], 0).confidence_interval(1 - 0.05 / 3)
    assert verdicts[0].seeds_interval == pytest.approx((low, high))
    assert [verdict.word for verdict in verdicts] == [BETTER, UNDECIDED, UNDECIDED]
    assert (verdicts[0].reached, verdicts[0].e_value) == (6, None)


def test_before_the_fixed_number_is_trained_the_verdict_is_out() -> None:
    (verdict,) = decide([evidence(ALTERNATING[:6], trained=6)], Rule(fixed=7))
    assert verdict.word == UNDECIDED
    (verdict,) = decide([evidence(ALTERNATING[:6], trained=7)], Rule(fixed=7))  # on the seventh, one diverged
    assert verdict.word == BETTER


def test_more_seeds_are_futile_where_none_of_the_verdicts_is_likely() -> None:
    wide = np.array([0.3, -0.3] * 4)  # with deviations of 0.32 and a worth of 0.1, 20 seeds bound nothing inside it
    assert futile(evidence(wide, worth=0.1), Rule(), 20)
    assert not futile(evidence(wide, worth=0.1), Rule(), 400)
    assert not futile(evidence(wide + 0.25, worth=0.1), Rule(), 20)  # it may still become better
    assert not futile(evidence(wide[:4], worth=0.1), Rule(), 20)  # too few seeds to give up on
    assert futile(evidence(wide[:4]), Rule(), 4)  # no more may be trained


def test_more_seeds_are_futile_where_other_test_images_cannot_be_accounted_for() -> None:
    """As with a metric that is a number on few samples of the images: 20 seeds were trained for no verdict."""
    unsure = evidence([0.3, 2.0, -0.9, 1.1, 0.2], worth=0.1)
    assert not futile(unsure, Rule(), 20)
    assert futile(Evidence(**{**vars(unsure), "over_images": None}), Rule(), 20)
    assert not futile(Evidence(**{**vars(evidence([0.3, 2.0])), "over_images": None}), Rule(), 20)


def test_sides_that_are_all_alike_are_undecided_and_more_seeds_of_them_are_futile() -> None:
    """As with a change that takes no effect: 20 seeds were trained for no verdict."""
    alike = evidence(np.zeros(6), images=0.0)
    assert alike.all_alike and decide([alike], Rule())[0].word == UNDECIDED
    assert futile(alike, Rule(), 20) and not futile(evidence(np.zeros(4), images=0.0), Rule(), 20)
    assert not futile(evidence(np.zeros(6)), Rule(), 20)  # other images are right, as many of them
    assert not evidence(np.full(6, 0.1), images=0.0).all_alike
    assert not Evidence(**{**vars(alike), "over_images": None}).all_alike


@pytest.mark.parametrize(
    ("metric", "least"), [("validation_accuracy", 1 / 500), ("validation_loss", 1e-5), ("metrics.py:mine", 1e-5)]
)
def test_a_needed_difference_is_no_less_than_an_image_where_images_are_counted(metric: str, least: float) -> None:
    tiny = evidence(np.array([1e-6, -1e-6] * 4), images=1e-14, worth=1e-5, metric=metric)
    needed = needed_seeds(tiny, Rule())
    assert needed is not None and needed[1] == pytest.approx(least)
