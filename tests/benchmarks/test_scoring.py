"""The comparison of searches, on numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.replay.scoring import area, between_tables, compared, gain, holm, speed_up


def test_a_speed_up_is_the_epochs_that_the_other_needs_over_ours() -> None:
    ours = np.array([[0.1, 0.5, 0.6, 0.8]] * 3)
    theirs = np.array([[0.1, 0.2, 0.3, 0.4, 0.3, 0.5, 0.6, 0.7]] * 3)
    assert speed_up(ours, theirs, 2).factor == 3.0  # 0.5 at 6 and at 2
    assert speed_up(ours, theirs, 3).factor == pytest.approx(7 / 3)
    never = speed_up(ours, theirs, 4)
    assert never.factor == never.most == 2.0 and str(never).startswith(">2.00")
    assert speed_up(theirs, ours, 8).factor == 0.5  # 0.7 at 4 and at 8


def test_a_speed_up_is_of_the_means_and_its_interval_of_the_searches() -> None:
    ours = np.array([[0.2, 0.4], [0.4, 0.6]])
    theirs = np.array([[0.1, 0.6, 0.6, 0.6], [0.1, 0.1, 0.1, 0.9]])
    found = speed_up(ours, theirs, 1)  # 0.3 on average: theirs has 0.35 at 2
    assert (found.factor, found.low, found.high) == (2.0, 2.0, 4.0)


def test_before_a_first_value_nothing_is_reached() -> None:
    assert speed_up(np.array([[0.2, 0.2]] * 2), np.array([[np.nan, 0.3]] * 2), 1).factor == 2.0


def test_a_gain_is_in_points_with_what_could_have_been_seen() -> None:
    found = gain(np.array([0.52, 0.54, 0.56]), np.array([0.50, 0.50, 0.50]))
    error = 2 / 3**0.5  # standard deviation 2 points
    assert found.mean == pytest.approx(4)
    assert (found.low, found.high) == pytest.approx((4 - 4.3027 * error, 4 + 4.3027 * error), abs=1e-3)
    assert found.smallest == pytest.approx((4.3027 + 1.0607) * error, abs=1e-3)


def test_the_interval_for_other_tables_widens_that_of_their_parts() -> None:
    found = between_tables(1.0, [0.5, 1.5, 0.5, 1.5], share=2 / 3)
    error = 2**0.5 * np.std([0.5, 1.5, 0.5, 1.5], ddof=1)
    assert found.high - 1.0 == pytest.approx(3.1824 * error, abs=1e-3)


def test_the_area_is_the_log_of_the_regret_from_a_tenth_of_the_budget_on() -> None:
    curves = np.full((2, 10), 0.9)
    curves[:, 0] = 0.1  # before a tenth
    curves[1] = 1.0
    assert area(curves, best=1.0, median=0.0) == pytest.approx([-1.0, -3.0])  # the floor


def test_holm_steps_down_in_the_order_given() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


def test_a_comparison_has_its_measure_without_a_gain() -> None:
    curves = {"random + halving": np.array([[0.5] * 8, [0.6] * 8]), "ours": np.array([[0.6] * 4, [0.7] * 4])}
    first, second = compared(curves, (1.0, 0.0), 4, "random + halving")
    assert first["gain"] == first["p (Holm)"] == "-" and first["100%"] == "55.00"
    assert second["gain"].startswith("+10.00") and second["speed-up 25%"].startswith(">8.00")
