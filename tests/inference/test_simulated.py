"""The rule of the verdicts on simulated studies: the small version of benchmarks/verdicts.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.verdicts import Setting, at, before, draw, judged
from hw2tune.inference.verdicts import BETTER, WORSE

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
