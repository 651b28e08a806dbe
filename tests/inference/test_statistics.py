from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from hw2tune.inference.statistics import (
    compare_pairs,
    holm,
    mcnemar,
    median_seed,
    needed_n,
    sign_flip_p,
    summarize,
    t_test_power,
    wilson,
)


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


def test_a_paired_comparison_agrees_with_scipys_paired_t_test() -> None:
    random = np.random.default_rng(0)
    against = random.normal(0.9, 0.01, 8)
    values = against + random.normal(0.004, 0.002, 8)
    comparison = compare_pairs(values, against)
    expected = stats.ttest_rel(values, against)
    interval = expected.confidence_interval(0.95)
    assert (comparison.low, comparison.high) == pytest.approx((interval.low, interval.high))
    assert comparison.excludes_zero == (expected.pvalue < 0.05) == True  # noqa: E712


def test_pairing_removes_what_seeds_do_to_both_variants() -> None:
    of_the_seed = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    comparison = compare_pairs(of_the_seed + np.array([0.011, 0.009, 0.010, 0.012, 0.008]), of_the_seed)
    assert comparison.sd == pytest.approx(math.sqrt(10 / 4) * 0.001)
    assert comparison.excludes_zero


def test_the_interval_covers_the_truth_in_95_of_100_simulations() -> None:
    random, trials = np.random.default_rng(1), 2000
    samples = random.normal(0.3, 1.0, (trials, 5))
    covered = sum(s.low <= 0.3 <= s.high for s in map(summarize, samples) if s.low is not None and s.high is not None)
    low, high = stats.binom.interval(0.999, trials, 0.95)
    assert low <= covered <= high


def test_no_effect_is_detected_in_one_of_twenty_simulations_without_one() -> None:
    random, trials = np.random.default_rng(2), 400
    nothing = np.zeros(6)
    comparisons = [compare_pairs(differences, nothing) for differences in random.normal(0, 1, (trials, 6))]
    low, high = stats.binom.interval(0.999, trials, 0.05)
    assert low <= sum(c.excludes_zero for c in comparisons) <= high
    # With n = 6 the p values are multiples of 1/32: two of the 64 sign patterns have p <= 0.05.
    low, high = stats.binom.interval(0.999, trials, 2 / 64)
    assert low <= sum(c.permutation_p is not None and c.permutation_p <= 0.05 for c in comparisons) <= high


def test_the_pairs_asked_for_have_the_power_that_was_asked_for() -> None:
    random, trials, sd = np.random.default_rng(3), 1000, 0.002
    n = needed_n(sd)
    differences = random.normal(0.001, sd, (trials, n))
    detected = int((stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05).sum())
    low, high = stats.binom.interval(0.999, trials, t_test_power(n, sd, 0.001))
    assert low <= detected <= high
    assert t_test_power(n - 1, sd, 0.001) < 0.8 <= t_test_power(n, sd, 0.001)


@pytest.mark.parametrize(("ratio", "pairs"), [(0.5, 34), (0.8, 15), (1.0, 10)])
def test_needed_pairs_agree_with_the_tables_of_cohen(ratio: float, pairs: int) -> None:
    # Effect sizes 0.5, 0.8 and 1.0 of a two-sided one-sample t test, 80 % power (as G*Power 3.1 prints them).
    assert needed_n(0.001 / ratio) == pairs


@pytest.mark.parametrize(("sd", "pairs"), [(1e-9, 2), (0.05, 19625)])
def test_needed_pairs_stand_extreme_spreads(sd: float, pairs: int) -> None:
    assert needed_n(sd) == pairs  # the large one by the normal formula: ((1.95996 + 0.84162) * 50) ** 2 = 19622, + 2


def test_the_sign_flip_test_counts_all_sign_patterns() -> None:
    differences = np.array([0.3, -0.1, 0.2, 0.4])
    means = [np.mean(differences * signs) for signs in product([1, -1], repeat=4)]
    one_sided = sum(mean >= differences.mean() - 1e-12 for mean in means) / len(means)
    assert sign_flip_p(differences) == pytest.approx(2 * one_sided)


def test_five_pairs_reach_no_p_below_a_sixteenth() -> None:
    comparison = compare_pairs([1.0, 1.1, 0.9, 1.2, 0.8], np.zeros(5))
    assert comparison.permutation_p == comparison.permutation_floor == 0.0625


@pytest.mark.parametrize(
    ("counts", "p"), [([-3, 5, 6, -2, -1], 0.6875), ([-1, 0, 4, -3, -1], 1.0), ([1, -1, 7, 0, 6, 9, 4], 0.09375)]
)
def test_sign_patterns_that_tie_in_images_count_as_ties(counts: list[int], p: float) -> None:
    flips = [
        abs(sum(map(math.prod, zip(counts, signs, strict=True)))) for signs in product([1, -1], repeat=len(counts))
    ]
    assert sum(flip >= abs(sum(counts)) for flip in flips) / len(flips) == p  # in whole numbers nothing rounds
    against = np.array([9641, 9655, 9672, 9633, 9660, 9648, 9667])[: len(counts)]
    assert compare_pairs((against + counts) / 10_000, against / 10_000).permutation_p == pytest.approx(p)


def test_many_pairs_are_drawn_and_the_draw_repeats_itself() -> None:
    differences = np.random.default_rng(4).normal(0.2, 1, 20)
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.03)


def test_differences_without_spread_prove_nothing() -> None:
    # 0.94 - 0.93 and 0.96 - 0.95 differ in the last bit, not in truth
    comparison = compare_pairs([0.94, 0.96, 0.98], [0.93, 0.95, 0.97])
    assert comparison.mean == pytest.approx(0.01)
    assert not comparison.has_spread
    assert not comparison.excludes_zero
    assert comparison.needed_n is None


def test_no_difference_at_all_has_p_1() -> None:
    comparison = compare_pairs([0.9, 0.9, 0.9], [0.9, 0.9, 0.9])
    assert (comparison.mean, comparison.permutation_p, comparison.excludes_zero) == (0.0, 1.0, False)


def test_mcnemar_counts_fixed_and_broken_images() -> None:
    right = np.array([True] * 9 + [False] * 1 + [True] * 5)
    right_against = np.array([False] * 9 + [True] * 1 + [True] * 5)
    result = mcnemar(right, right_against)
    # 9 of 10 discordant images: 2 * (C(10, 9) + C(10, 10)) / 2**10
    assert (result.fixed, result.broken, result.p) == (9, 1, pytest.approx(22 / 1024))


def test_mcnemar_of_equal_predictions_has_p_1() -> None:
    right = np.array([True, False, True])
    assert mcnemar(right, right).p == 1.0


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
    # In order 0.01 * 4, 0.03 * 3 = 0.09, 0.04 * 2 = 0.08 that is not below the one before, and none at all counts as 1.
    assert holm([0.04, 0.01, None, 0.03]) == pytest.approx([0.09, 0.04, 1.0, 0.09])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
