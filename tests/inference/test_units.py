"""Differences of searches and splits: means over the seeds of each, also of the images' part of their variance."""

from dataclasses import replace

import numpy as np
import pytest

from hw2tune.inference.evidence import Evidence, covariance_over_images
from hw2tune.inference.units import by_unit
from hw2tune.inference.verdicts import Rule, decide


def evidence(images: np.ndarray, seeds=(1, 2, 21, 22, 41)) -> Evidence:
    """From differences of (n, N) images."""
    return Evidence(
        variant="a", against="b", seeds=tuple(seeds), differences=images.mean(axis=1), trained=len(seeds),
        over_images=covariance_over_images(images), images=images.shape[1], worth=0.005,
        failed=(1, 0), failed_seeds=((1,), ()), ended=tuple(seeds),
    )  # fmt: skip


def search_of(seed: int) -> int:
    return seed // 20


def test_a_searchs_difference_is_the_mean_over_its_seeds_and_its_images_are_averaged_alike():
    images = np.random.default_rng(0).normal(0.02, 0.3, (5, 400))
    found = by_unit(evidence(images), "search", search_of)
    expected = np.stack([images[:2].mean(axis=0), images[2:4].mean(axis=0), images[4]])
    assert found.differences == pytest.approx(expected.mean(axis=1))
    assert found.over_images == pytest.approx(covariance_over_images(expected))
    assert (found.seeds, found.trained, found.failed, found.unit) == ((1, 21, 41), 3, (1, 0), "search")


def test_seeds_of_one_search_are_no_evidence_about_others():
    """Two searches that differ, each on many seeds that agree: seeds alone would be sure."""
    random = np.random.default_rng(1)
    of_search = np.repeat([0.05, -0.03], 8)[:, None]
    images = of_search + random.normal(0, 0.01, (16, 1)) + random.normal(0, 0.2, (16, 2000))
    seeds = evidence(images, range(16))
    one = by_unit(seeds, "search", lambda seed: seed // 8)
    [verdict] = decide([one], Rule(claims=1, fixed=2))
    assert verdict.n == 2 and not verdict.decided
    low, high = verdict.interval
    assert low < -0.03 and high > 0.05


def test_with_one_seed_a_search_nothing_changes():
    images = np.random.default_rng(2).normal(0.02, 0.3, (3, 50))
    before = evidence(images, (1, 21, 41))
    after = by_unit(before, "search", search_of)
    assert after.differences == pytest.approx(before.differences)
    assert after.over_images == pytest.approx(before.over_images) and after.seeds == before.seeds


def test_without_a_seed_that_both_finished_there_is_no_search():
    nothing = Evidence(variant="a", against="b", seeds=(), differences=np.array([]))
    assert by_unit(nothing, "search", search_of).differences.size == 0


def test_a_search_whose_winner_failed_counts_among_those_that_were_trained_once_for_all_its_seeds():
    """Of seven searches on two seeds, `a` failed on both of the third and `b` on one of the sixth."""
    good = [seed for k in (0, 1, 3, 4, 5, 6) for seed in (20 * k + 1, 20 * k + 2) if seed != 102]
    images = np.random.default_rng(3).normal(0.02, 0.3, (len(good), 400))
    ended = tuple(sorted({*good, 41, 42, 102}))
    found = by_unit(replace(evidence(images, good), failed_seeds=((41, 42), (102,)), ended=ended), "search", search_of)
    assert (len(found.seeds), found.trained, found.failed) == (6, 7, (1, 1))
    [verdict] = decide([replace(found, differences=np.full(6, 0.02) + 1e-4 * found.differences)], Rule(fixed=7))
    assert verdict.decided, "at the seven searches that were asked for, of which six have a difference"


def test_a_search_is_trained_once_as_many_of_its_seeds_ended_as_were_asked_for():
    there = evidence(np.random.default_rng(3).normal(0.02, 0.3, (5, 50)))
    assert [by_unit(there, "search", search_of, each).trained for each in (1, 2, 3)] == [3, 2, 0]


def test_a_search_of_which_predictions_are_missing_leaves_the_images_out_from_it_on():
    there = evidence(np.random.default_rng(4).normal(0.02, 0.3, (5, 50)))
    there.over_images[3, :] = there.over_images[:, 3] = np.nan
    found = by_unit(there, "search", search_of)
    assert np.isnan(found.over_images).tolist() == [[False, True, False], [True] * 3, [False, True, False]]
    assert np.isfinite(found.looks(0.05).of_images).tolist() == [True, False, False]
