"""The rule of the verdicts on simulated studies: the small version of benchmarks/verdicts.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fixed_verdicts import at_worth, measured
from benchmarks.split_verdicts import Design, pooled
from benchmarks.split_verdicts import draw as draw_splits
from benchmarks.split_verdicts import judged as splits_judged
from benchmarks.verdicts import Setting, at, before, draw, evidence, judged
from hw2tune.inference.verdicts import BETTER, WORSE, Rule, decide

STUDIES = 400
NULL = Setting(name="null", claims=3)


@pytest.mark.parametrize("image_error", [0.0, 0.25])
def test_studies_looked_at_after_each_seed_err_in_one_of_twenty_at_most(image_error: float) -> None:
    setting = replace(NULL, shared=image_error)
    drawn = draw(setting, STUDIES, np.random.default_rng(0))
    _, (better, worse, _) = judged(drawn, setting)
    assert (better | worse).any(axis=(1, 2)).mean() <= 0.05
    assert before(drawn).any(axis=(1, 2)).mean() > 0.4  # of 83dc8fd, on the same studies


def test_studies_of_a_fixed_number_of_seeds_err_in_one_of_twenty_at_most() -> None:
    drawn = draw(NULL, STUDIES, np.random.default_rng(1), most=7)
    assert np.mean([BETTER in words or WORSE in words for words in at(drawn, NULL, 7)]) <= 0.05
    assert before(drawn)[..., 6].any(axis=1).mean() > 0.08


def test_no_difference_that_matters_is_called_the_same_in_one_of_twenty_at_most() -> None:
    setting = replace(NULL, effect=0.5, seed=0.15, rest=0.05, shared=0.1)
    _, (_, worse, same) = judged(draw(setting, STUDIES, np.random.default_rng(2)), setting)
    assert (same | worse).any(axis=(1, 2)).mean() <= 0.05


def test_what_does_not_differ_is_the_same_and_what_matters_twice_is_better() -> None:
    alike = replace(NULL, seed=0.2, shared=0.06, rest=0.08)
    _, (_, _, same) = judged(draw(alike, 100, np.random.default_rng(3), most=20), alike)
    assert same.any(axis=-1).mean() > 0.9
    apart = replace(alike, effect=1.0)
    _, (better, _, _) = judged(draw(apart, 100, np.random.default_rng(4), most=20), apart)
    assert better.any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("k", [3, 10])
def test_claims_about_splits_err_in_one_of_twenty_at_most_whatever_the_splits_share(k: int, share: float) -> None:
    rng, design = np.random.default_rng(5), Design(splits=k, seeds=3, share=share, shared=0.1, claims=3)
    differences, over_images = draw_splits(design, 2_000, rng)
    after, false = splits_judged(differences, over_images)
    assert false.any(axis=1).mean() <= 0.05
    assert (np.abs(after.mean[..., -1]) <= after.over_both(True)[..., -1]).mean() >= 0.95
    if share:
        without, _ = draw_splits(replace(design, shared=0.0), 2_000, rng)
        assert pooled(without).any(axis=1).mean() > 0.15  # seeds of one split taken as independent


def test_the_simulated_rule_for_splits_is_the_products() -> None:
    design = Design(splits=5, seeds=2, share=0.2, shared=0.1, claims=3, deviation=0.1)
    differences, over_images = draw_splits(design, 60, np.random.default_rng(6))
    differences += np.array([0.0, 0.2, 0.4])[:, None, None]
    _, expected = splits_judged(differences, over_images)
    setting = Setting(name="splits", claims=3)
    for study, said in enumerate(expected):
        pairs = zip(differences[study].mean(axis=-1), over_images[study], strict=True)
        verdicts = decide([evidence(*pair, setting) for pair in pairs], Rule(claims=3, fixed=5))
        assert [one.word in (BETTER, WORSE) for one in verdicts] == said.tolist()
    assert 0.2 < expected.mean() < 0.8


def test_steps_gain_nothing_for_one_difference_and_err_too_often_where_the_worth_is_just_reached() -> None:
    found = measured(NULL, [0.5, 0.0, 0.0], 7, 1_000, 0)
    assert found["one level"]["power"] == pytest.approx(found["Holm"]["power"], abs=0.01)
    (row,) = [row for row in at_worth(4_000) if row["claims"] == 6]
    assert row["one level"] < 0.035 < row["half steps"] < 0.05 < row["Holm"]


def test_the_one_level_of_the_comparison_is_the_products() -> None:
    setting, effects = replace(NULL, shared=0.1), np.array([0.0, 0.3, 0.6])
    (found,) = [measured(setting, effects, 5, 200, 3)["one level"]]
    drawn = draw(setting, 200, np.random.default_rng(3), 5)
    words = list(at(replace(drawn, differences=drawn.differences + effects[:, None]), setting, 5))
    assert found["power"] == pytest.approx(np.mean([one[1:].count(BETTER) / 2 for one in words]))
