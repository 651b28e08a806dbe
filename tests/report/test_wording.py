from __future__ import annotations

import numpy as np
import pytest

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import Rule, decide
from hw2tune.report.sentences import amount, claim_sentence
from hw2tune.text.numbers import (
    changed_words,
    difference,
    listed,
    measured,
    objective_value,
    percent_interval,
    points,
    scientific,
    two_digits,
    weight_decay_words,
)


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(-0.0005, "-0.05"), (0.012, "+1.20"), (0.0, "0.00"), (1e-17, "0.00"), (0.00002, "+0.002"), (-0.00004, "-0.004")],
)
def test_points_are_signed_and_never_round_a_difference_away(fraction: float, words: str) -> None:
    assert points(fraction) == words


SMALL = [(1.5432, "1.5432"), (0.0034, "0.0034"), (0.00034, "0.00034"), (3.41e-5, "3.4e-5"), (2e-10, "2e-10")]


@pytest.mark.parametrize(("size", "words"), SMALL)
@pytest.mark.parametrize(("quantity", "unit"), [("validation_loss", " nats"), ("metrics.py:brier", "")])
def test_losses_and_own_metrics_have_four_decimals_or_two_digits(
    size: float, words: str, quantity: str, unit: str
) -> None:
    assert difference(size, quantity) == f"+{words}{unit}" and difference(-size, quantity) == f"-{words}{unit}"
    assert measured(size, quantity) == f"{words}{unit}" and objective_value(size, quantity) == words
    assert amount(quantity, 2e-5) == f"2e-5{unit}"


@pytest.mark.parametrize("nothing", [0.0, -0.0, 1e-17, -1e-17])
def test_no_difference_in_nats_has_no_sign(nothing: float) -> None:
    assert difference(nothing, "validation_loss") == "0.0000 nats"
    assert measured(nothing, "metrics.py:brier") == "0.0000"


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("validation_loss", "lowers test loss by 2e-5 nats (95 % interval -2.1e-5 to -1.9e-5, n = 7)."),
        ("metrics.py:brier", "raises test brier by 2e-5 (95 % interval +1.9e-5 to +2.1e-5, n = 7)."),
    ],
)
def test_a_sentence_of_a_small_difference_does_not_round_it_away(metric: str, words: str) -> None:
    evidence = Evidence(
        variant="tuned", against="baseline", seeds=tuple(range(1, 8)), images=10_000, trained=7, metric=metric,
        differences=np.array([2.0, 2.1, 1.9, 2.05, 1.95, 2.0, 2.02]) * 1e-5, over_images=np.full((7, 7), 1e-16),
        ended=tuple(range(1, 8)), worth=None,
    )  # fmt: skip
    rule = Rule(claims=1, fixed=7)
    (verdict,) = decide([evidence], rule)
    assert claim_sentence("tuning", evidence, verdict, rule) == f"Better: tuning {words}"


def test_an_interval_of_an_accuracy_ends_where_accuracies_do() -> None:
    assert percent_interval(0.942, 0.9595) == "94.20 to 95.95"
    assert percent_interval(-0.12, 1.4125) == "0.00 to 100.00"  # of two seeds


@pytest.mark.parametrize(
    ("value", "words"), [(1e-4, "1e-4"), (1.3e-5, "1.3e-5"), (0.02, "0.02"), (0.001, "0.001"), (0.0, "0")]
)
def test_small_numbers_are_written_short(value: float, words: str) -> None:
    assert scientific(value) == words


def test_an_estimated_number_keeps_two_digits() -> None:
    assert [two_digits(number) for number in (5, 22, 237, 19_625)] == [5, 22, 240, 20_000]


def test_lists_read_as_in_a_sentence() -> None:
    assert listed([]) == "none"
    assert (listed([1]), listed([1, 2]), listed([1, 2, 3])) == ("1", "1 and 2", "1, 2 and 3")


def test_weight_decay_is_called_l2_only_where_it_is_coupled() -> None:
    assert weight_decay_words({"optimizer": "sgd", "weight_decay": 1e-4}) == "L2 1e-4"
    assert weight_decay_words({"optimizer": "adam", "weight_decay": 1e-4}) == "L2 1e-4"
    assert weight_decay_words({"optimizer": "adamw", "weight_decay": 1e-4}) == "decoupled weight decay 1e-4"
    assert weight_decay_words({"optimizer": "sgd"}) == "no weight decay"


def test_a_changed_weight_decay_says_what_it_replaces_unless_that_is_none() -> None:
    def told(now: float, before: float) -> str:
        return changed_words(*({"optimizer": "adam", "weight_decay": one} for one in (now, before)))

    assert [told(1e-4, 0.1), told(1e-4, 0.0), told(0.0, 1e-4)] == [
        "L2 1e-4 in place of 0.1",
        "L2 1e-4",
        "no weight decay",
    ]
