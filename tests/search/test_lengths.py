"""How long trials are: of a study's own trials, and before there are any."""

import pytest

from hw2tune.records.trials.rows import TrialRow
from hw2tune.search.lengths import PASSED, WEIGHT, epochs_to_come, going_on, halved
from hw2tune.study.file import find_study, parse_study


def study(**overrides):
    return parse_study(*find_study("quickstart"), overrides=overrides)  # 5 epochs, rungs at 1 and 3


def row(epochs, state="pruned", label=""):
    return TrialRow(
        number=0, label=label, state=state, reason="", epochs=epochs, value=0.5, best_epoch=1, seconds=1.0, params={}
    )


def test_the_epochs_to_come_are_those_added_up_by_hand():
    assert epochs_to_come(going_on(study()))[0] == pytest.approx(1 + 2 * PASSED + 2 * PASSED**2)
    assert epochs_to_come(going_on(study()))[3] == pytest.approx(2 * PASSED)
    assert epochs_to_come(halved(study()))[0] == pytest.approx(1 + 2 / 3 + 2 / 9)
    assert epochs_to_come(going_on(study(**{"pruner.name": "none"}))) == [5, 4, 3, 2, 1, 0]


def test_a_studys_own_trials_count_beside_what_is_usual_and_references_do_not():
    rows = [row(1)] * 30 + [row(3)] * 6 + [row(5, "complete")] * 4 + [row(5, "complete", "baseline")] * 50
    shares = going_on(study(), rows)
    assert shares[1] == pytest.approx((WEIGHT * PASSED + 10) / (WEIGHT + 40))
    assert shares[3] == pytest.approx((WEIGHT * PASSED + 4) / (WEIGHT + 10))
    assert (shares[2], shares[4], shares[5]) == (1, 1, 0)


def test_where_trials_end_by_patience_or_diverge_is_learned():
    shares = going_on(study(), [row(2, "complete")] * 10 + [row(3, "diverged")] * 10)
    assert shares[2] == pytest.approx((WEIGHT + 10) / (WEIGHT + 20))  # 10 ended by patience
    assert shares[4] == pytest.approx(WEIGHT / (WEIGHT + 10))  # 10 diverged in the fourth epoch


def test_running_trials_say_nothing_yet():
    assert going_on(study(), [row(1, "running")] * 50) == going_on(study())
