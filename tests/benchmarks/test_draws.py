"""Draws of the shipped sampler after invented trials."""

from __future__ import annotations

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from benchmarks.failing import TASK
from benchmarks.replay.draws import drawn, told
from hw2tune.search.design import UnitPoint

SPACE = TASK.study.search_space
NAMES = ("learning_rate", "batch_size", "momentum", "weight_decay")


def _trials(worth_of_a_high_rate: float) -> list[FrozenTrial]:
    rng, found = np.random.default_rng(0), list[FrozenTrial]()
    for _ in range(40):
        at = dict(zip(NAMES, rng.random(4).tolist(), strict=True))
        values = [worth_of_a_high_rate * at["learning_rate"], -1.0]
        found.append(told(TASK.study, SPACE.suggest(UnitPoint(at)), values, TrialState.COMPLETE))
    return found


def _draws(trials: list[FrozenTrial]) -> list[dict[str, object]]:
    return [dict(drawn(TASK.study.model_copy(update={"seed": seed}), trials)) for seed in range(8)]


def test_a_draw_is_that_of_its_seed_and_trials() -> None:
    trials = _trials(1)
    assert _draws(trials) == _draws(trials)
    assert len({str(one) for one in [*_draws(trials), *_draws(trials[:-1])]}) == 16


def test_draws_are_where_the_best_values_are() -> None:
    high, low = ([float(str(one["learning_rate"])) for one in _draws(_trials(sign))] for sign in (1, -1))
    assert np.median(high) > 0.1 > 1e-3 > np.median(low)


def test_a_stopped_trial_is_told_as_one_and_has_no_value() -> None:
    one = told(TASK.study, SPACE.decode(_trials(1)[0].params), [0.2, 0.4], TrialState.PRUNED)
    assert (one.state, one.value, one.intermediate_values) == (TrialState.PRUNED, None, {1: 0.2, 2: 0.4})
