"""The ledger of variance, on simulated seeds, test images and races of known components."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hw2tune.inference.evidence import Evidence, covariance_over_images
from hw2tune.records.replicates import Candidate, Race
from hw2tune.report.claims import claims
from hw2tune.report.page.appendix import limits_blocks
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.variance import IMAGES, RACE, SEEDS, Variance, race_variance, repeat_next, variance, variances
from tests.report.fake_study import write_fake_study

SIMULATIONS = 400


def simulated(seed_sd, image_sd, residual_sd, *, n, images):
    """(SIMULATIONS, n, images) differences: 0.01 + seed + image + residual."""
    random = np.random.default_rng(0)
    of_seeds = seed_sd * random.standard_normal((SIMULATIONS, n, 1))
    of_images = image_sd * random.standard_normal((SIMULATIONS, 1, images))
    return 0.01 + of_seeds + of_images + residual_sd * random.standard_normal((SIMULATIONS, n, images))


def evidence(differences):
    return Evidence(
        variant="tuned",
        against="baseline",
        seeds=tuple(range(len(differences))),
        differences=differences.mean(axis=1),
        over_images=covariance_over_images(differences),
        images=differences.shape[1],
    )


@pytest.mark.parametrize(
    ("seed_sd", "image_sd", "residual_sd"), [(0.02, 0.1, 0.3), (0.005, 0.5, 0.3), (0.03, 0.0, 0.1)]
)
def test_the_parts_are_the_simulated_components_on_average(seed_sd, image_sd, residual_sd):
    n, images = 6, 200
    every = [variance(evidence(one)) for one in simulated(seed_sd, image_sd, residual_sd, n=n, images=images)]
    of_seeds = np.array([one.repeats for one in every])
    of_images = np.array([one.images for one in every])
    true_seeds = seed_sd**2 / n + residual_sd**2 / (n * images)
    true_images = image_sd**2 / images
    assert abs(of_seeds.mean() - true_seeds) < 4 * of_seeds.std() / math.sqrt(SIMULATIONS)
    assert abs(of_images.mean() - true_images) < 4 * of_images.std() / math.sqrt(SIMULATIONS) + 0.02 * true_seeds
    realised = simulated(seed_sd, image_sd, residual_sd, n=n, images=images).mean(axis=(1, 2)).var()
    assert of_seeds.mean() + of_images.mean() == pytest.approx(realised, rel=0.2)


def test_the_larger_source_is_found_in_nearly_all_simulations():
    seeds_rule = [variance(evidence(one)).largest for one in simulated(0.05, 0.1, 0.1, n=6, images=200)]
    images_rule = [variance(evidence(one)).largest for one in simulated(0.002, 0.5, 0.1, n=6, images=200)]
    assert seeds_rule.count(SEEDS) > 0.95 * SIMULATIONS
    assert images_rule.count(IMAGES) > 0.95 * SIMULATIONS


def ledger(repeats, images=None, race=None, *, unit="seed"):
    return Variance(
        variant="tuned", against="baseline", metric="validation_accuracy", unit=unit, n=5, repeats=repeats,
        images=images, race=race,
    )  # fmt: skip


def test_shares_are_of_what_was_measured_and_the_error_falls_with_seeds_only_in_their_part():
    one = ledger(8e-4, 2e-4)
    assert (one.share(SEEDS), one.share(IMAGES), one.share(RACE)) == (pytest.approx(0.8), pytest.approx(0.2), None)
    assert one.error() == pytest.approx(math.sqrt(1e-3))
    assert one.error(2) == pytest.approx(math.sqrt(4e-4 + 2e-4))


def test_one_seed_or_equal_differences_tell_nothing():
    single = Evidence(variant="a", against="b", seeds=(1,), differences=np.array([0.1]))
    assert variance(single) is None
    equal = variance(Evidence(variant="a", against="b", seeds=(1, 2), differences=np.array([0.1, 0.1])))
    assert (equal.total, equal.largest, equal.share(SEEDS), equal.images) == (0, None, None, None)


def race(*finalists):
    candidates = [
        Candidate(trial=number, params={}, search_value=0.9, values=[0.9], expected=expected, probability=chance)
        for number, (chance, expected) in enumerate(finalists)
    ]
    return Race(objective="validation_accuracy", direction="maximize", seeds=[1], candidates=candidates, winner=0)


def test_a_race_without_doubt_adds_nothing_and_one_of_two_equals_their_distance():
    assert race_variance(race((1.0, 0.95), (0.0, 0.90))) == pytest.approx(0)
    assert race_variance(race((0.5, 0.95), (0.5, 0.93))) == pytest.approx(0.01**2)
    assert race_variance(race((0.5, 0.95), (0.5, None))) == pytest.approx(0)  # a finalist that diverged
    assert race_variance(race((None, 0.95), (None, 0.93))) is None  # of an earlier version


def test_the_advice_names_the_largest_source_and_what_twice_the_seeds_would_leave():
    # sqrt(8e-5 + 2e-5) = 1 point, sqrt(4e-5 + 2e-5) = 0.77 points
    assert repeat_next(ledger(8e-5, 2e-5)) == (
        "seeds make 80 % of the measured variance: more seeds (standard error 1.00 points, with twice the seeds 0.77 "
        "points)"
    )
    assert repeat_next(ledger(2e-5, 8e-5)).startswith(
        "test images make 80 % of the measured variance: more test images; more repetitions help little ("
    )
    assert repeat_next(ledger(1e-5, 1e-5, 8e-5)).startswith(
        "choice by the race makes 80 % of the measured variance: several searches, or more trainings in the race ("
    )
    assert repeat_next(ledger(8e-5, 2e-5, unit="search")) == (
        "searches, with their seeds, make 80 % of the measured variance: more searches (standard error 1.00 points, "
        "with twice the searches 0.77 points)"
    )
    assert repeat_next(ledger(0.0, 0.0)) == "nothing varies: equal differences tell no spread"


def test_the_report_has_a_ledger_of_each_claim_and_says_what_was_not_measured(tmp_path):
    results = compute(read_study_data(write_fake_study(tmp_path, seeds=4)))
    table = results.tables["variance"]
    assert list(zip(table["variant"], table["against"], strict=True)) == [
        (claim.variant, claim.against) for claim in results.claims
    ]
    shares = table[["repeats_share", "images_share", "race_share", "split_share"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(np.ones(len(table)))
    assert shares["split_share"].isna().all()
    (block,) = [block for block in limits_blocks(results) if block.name == "variance"]
    assert all(row.cells[5] == "not measured" for row in block.rows)
    expected = [one.evidence.differences.std(ddof=1) / 2 for one in results.claims]
    assert (table["standard_error"] * np.sqrt(table["repeats_share"])).to_numpy() == pytest.approx(expected)


def test_the_race_is_in_the_ledger_of_a_claim_with_the_winner_on_one_side_only(tmp_path):
    data = read_study_data(write_fake_study(tmp_path, seeds=4))
    data = replace(data, race=race((0.5, 0.95), (0.5, 0.93)))
    found = {(one.variant, one.against): one.race for one in variances(claims(data), data)}
    assert found["tuned", "baseline"] == pytest.approx(1e-4)
    assert {pair: value for pair, value in found.items() if pair != ("tuned", "baseline")} == {
        ("l2", "baseline"): None, ("tuned", "tuned-no-l2"): None,
    }  # fmt: skip
