from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hw2tune.report.claims import CAVEAT
from hw2tune.report.reproduction.tables import NOT_JUDGED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, reproduce
from hw2tune.report.reproduction.tolerance import Spread, known_spread, pooled, spread_at, spread_of_means, tolerance
from hw2tune.study.published import PublishedEpoch, published_epochs

MNIST = published_epochs("mnist", "baseline")
MNIST_L2 = published_epochs("mnist", "l2")
CIFAR10 = published_epochs("cifar10", "baseline")


def repetition(published: tuple[PublishedEpoch, ...], shift: float) -> list[dict[str, Any]]:
    """A run whose every number lies `shift` above the published one."""
    return [
        {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss + shift,
            "train_accuracy": epoch.train_accuracy + shift,
            "validation_accuracy": None if epoch.validation_accuracy is None else epoch.validation_accuracy + shift,
            "published_test_loss": epoch.test_loss + shift,
            "published_test_accuracy": epoch.test_accuracy + shift,
            "held_out_loss": 1.25,
            "held_out_accuracy": 0.67,
        }
        for epoch in published
    ]


def test_seeds_around_the_published_numbers_reproduce_them() -> None:
    found = reproduce(MNIST, [repetition(MNIST, shift) for shift in (-0.001, 0.0, 0.002)])
    assert len(found.rows) == 5 * 5
    assert set(found.rows["verdict"]) == {REPRODUCED}
    assert found.verdict == REPRODUCED
    assert "25 of 25 printed numbers are inside the tolerance, at the last epoch 5 of 5 (n = 3)" in found.sentence
    assert re.search(
        r"At epoch 5 the published test accuracy lies [+-]\d\.\d\d points from the repetition", found.sentence
    )
    row = found.rows.iloc[0]
    assert (row["quantity"], row["published"], row["n"]) == ("train_loss", 1.7453, 3)
    assert (row["mean"], row["min"], row["max"]) == pytest.approx((1.7453 + 0.001 / 3, 1.7443, 1.7473))


def test_the_tolerance_is_the_prediction_interval_of_one_further_seed() -> None:
    found = reproduce(MNIST, [repetition(MNIST, shift) for shift in (-0.001, 0.0, 0.001)])
    # sd 0.001 at every epoch with 2 degrees of freedom, the known one with 6; t(0.975, 8) = 2.3060; half a printed
    # digit where the report rounds
    rows = found.rows.set_index(["epoch", "quantity"])["tolerance"]
    for quantity, rounding in (("train_loss", 0.00005), ("test_accuracy", 0.0)):  # the latter is printed as counts
        known = known_spread("mnist", quantity, 3)
        assert known is not None
        sd = math.sqrt((2 * 0.001**2 + 6 * known.sd**2) / 8)
        assert rows[(3, quantity)] == pytest.approx(2.3060 * sd * math.sqrt(1 + 1 / 3) + rounding, rel=1e-4)
    assert "t(0.975) s sqrt(1 + 1/n), with n = 3" in found.tolerance_note
    assert "pools these 3 seeds with seeds trained beforehand" in found.tolerance_note
    assert "for a mean over epochs" in found.tolerance_note


def test_the_spread_is_averaged_with_the_epochs_before_and_after() -> None:
    values = {e: np.array([-sd, 0.0, sd]) for e, sd in ((1, 1.0), (2, 2.0), (3, 3.0), (4, 9.0))}
    assert spread_at(2, values, "other", "train_loss") == Spread(sd=pytest.approx(math.sqrt(14 / 3)), freedom=2)  # type: ignore[arg-type]
    assert spread_at(1, values, "other", "train_loss") == Spread(sd=pytest.approx(math.sqrt(5 / 2)), freedom=2)  # type: ignore[arg-type]


def test_the_spread_of_a_mean_comes_from_the_means_of_the_seeds() -> None:
    values = {1: np.array([0.0, 1.0, 2.0]), 2: np.array([2.0, 1.0, 0.0])}  # the seeds' means are all 1
    assert spread_of_means([1, 2], values, "other", "train_loss") == Spread(sd=0.0, freedom=2)


def test_the_spread_of_a_mean_is_pooled_with_the_mean_of_the_known_deviations() -> None:
    values = {1: np.array([0.0, 1.0, 2.0]), 2: np.array([2.0, 1.0, 0.0])}
    known = [known_spread("mnist", "train_loss", epoch) for epoch in (1, 2)]
    bound = float(np.mean([spread.sd for spread in known if spread]))
    found = spread_of_means([1, 2], values, "mnist", "train_loss")
    assert found == Spread(sd=pytest.approx(bound * math.sqrt(6 / 8)), freedom=8)  # type: ignore[arg-type]


def test_own_and_known_variances_weigh_by_their_degrees_of_freedom() -> None:
    known = Spread(sd=1.0, freedom=6)
    assert pooled(Spread(sd=0.0, freedom=0), known) == known  # one seed tells nothing
    assert pooled(Spread(sd=3.0, freedom=2), known) == Spread(sd=pytest.approx(math.sqrt(3)), freedom=8)  # type: ignore[arg-type]
    assert pooled(Spread(sd=3.0, freedom=2), None) == Spread(sd=3.0, freedom=2)
    assert pooled(Spread(sd=3.0, freedom=1), None) is None


def test_the_tolerance_narrows_with_every_seed() -> None:
    known = Spread(sd=1.0, freedom=6)
    widths = [tolerance(pooled(Spread(sd=1.0, freedom=n - 1), known) or known, n, 0.0) for n in (1, 2, 3, 4, 8)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_one_further_seed_falls_inside_the_tolerance_in_95_of_100_simulations(n: int) -> None:
    random, trials = np.random.default_rng(5), 2000
    runs, beforehand = random.normal(0, 1, (trials, n + 1)), random.normal(0, 1, (trials, 7)).std(axis=1, ddof=1)
    spreads = [
        pooled(Spread(sd=float(run[:n].std(ddof=1)) if n > 1 else 0.0, freedom=n - 1), Spread(sd=float(sd), freedom=6))
        for run, sd in zip(runs, beforehand, strict=True)
    ]
    allowed = [tolerance(spread, n, 0.0) for spread in spreads if spread]
    inside = int((np.abs(runs[:, n] - runs[:, :n].mean(axis=1)) <= allowed).sum())
    low, high = stats.binom.interval(0.999, trials, 0.95)
    assert low <= inside <= high


def test_seeds_that_lie_elsewhere_do_not_reproduce_and_the_row_says_by_how_much() -> None:
    found = reproduce(MNIST, [repetition(MNIST, 0.2 + shift) for shift in (-0.001, 0.0, 0.001)])
    assert set(found.rows["verdict"]) == {NOT_REPRODUCED}
    assert found.verdict == NOT_REPRODUCED
    row = found.rows.iloc[0]
    assert row["note"] == f"outside by {0.2 - row['tolerance']:.4f}"


def test_a_published_digit_that_was_learned_late_is_told() -> None:
    found = reproduce(MNIST_L2, [repetition(MNIST, shift) for shift in (-0.001, 0.0, 0.001)])
    notes = found.rows.set_index(["epoch", "quantity"])["note"]
    assert notes[(1, "test_accuracy")].endswith("fits a published run that did not predict one of the ten digits yet")
    assert notes[(3, "train_loss")].endswith("; the published run may have learned one digit late")
    assert "".join(notes[[4, 5]]) == ""  # the digit is learned, and the numbers are inside


def test_what_lies_outside_later_is_told_without_a_cause() -> None:
    late = [replace(e, test_loss=e.test_loss + 0.05) if e.epoch == 5 else e for e in MNIST_L2]
    found = reproduce(late, [repetition(MNIST, shift) for shift in (-0.001, 0.0, 0.001)])
    note = found.rows.set_index(["epoch", "quantity"])["note"][(5, "test_loss")]
    assert note.startswith("outside by ")
    assert "digit" not in note


def test_cifar10_carries_the_caveat_and_its_held_out_numbers() -> None:
    found = reproduce(CIFAR10, [repetition(CIFAR10, shift) for shift in (-0.001, 0.0, 0.001)])
    assert found.caveat == CAVEAT
    assert len(found.rows) == 29 * 4  # no validation; epochs 26 to 31 were not printed
    rows = found.rows.set_index(["epoch", "quantity"])
    assert rows.loc[(35, "test_accuracy"), "published"] == 45203 / 50000
    assert rows.loc[(35, "test_accuracy"), "held_out"] == 0.67
    assert pd.isna(rows.loc[(35, "train_loss"), "held_out"])
    assert found.totals.set_index("quantity").loc["test_loss", "held_out"] == pytest.approx(1.25)
    assert reproduce(MNIST, []).caveat == ""


def test_the_caveat_follows_the_overlap_that_was_measured() -> None:
    assert reproduce(MNIST, [], overlaps_training=True).caveat == CAVEAT
    assert reproduce(CIFAR10, [], overlaps_training=False).caveat == ""
    assert reproduce(CIFAR10, [], overlaps_training=None).caveat == CAVEAT


def test_one_seed_is_judged_by_the_spread_of_seeds_trained_beforehand() -> None:
    for published in (MNIST, CIFAR10):
        found = reproduce(published, [repetition(published, 0.0)])
        assert found.verdict == REPRODUCED
        assert (found.rows["tolerance"] > 0).all()
        assert "seeds trained beforehand" in found.tolerance_note
        far = reproduce(published, [repetition(published, 0.3)])
        assert far.verdict == NOT_REPRODUCED


def test_one_seed_of_a_run_without_known_spread_is_not_judged() -> None:
    other = tuple(replace(epoch, dataset="other") for epoch in MNIST)
    found = reproduce(other, [repetition(other, 0.0)])
    assert set(found.rows["verdict"]) == {NOT_JUDGED}
    assert found.verdict == NOT_JUDGED


def test_nothing_repeated_is_told() -> None:
    found = reproduce(MNIST, [])
    assert set(found.rows["verdict"]) == {NOT_RUN}
    assert (found.verdict, found.sentence) == (NOT_RUN, "mnist baseline: no repetition reached the last printed epoch.")
    assert found.rows["mean"].isna().all()
    assert found.tolerance_note == "Nothing was repeated, so there is nothing to judge."


def test_a_diverged_repetition_counts_up_to_there_and_in_no_total() -> None:
    whole = [repetition(MNIST, shift) for shift in (-0.001, 0.0, 0.001)]
    diverged = [*repetition(MNIST, 0.0)[:2], {"epoch": 3, "train_loss": math.nan}]
    found = reproduce(MNIST, [*whole, diverged])
    by_epoch = found.rows[found.rows["quantity"] == "train_loss"].set_index("epoch")["n"]
    assert by_epoch.tolist() == [4, 4, 3, 3, 3]
    assert found.totals["n"].tolist() == [3] * 5
