"""The probability that a configuration fails by itself, and the sampler's draws under it."""

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy.stats import norm

from benchmarks.failing import TASK
from hw2tune.records.trials.rows import STATE
from hw2tune.records.trials.states import DIVERGED, OUT_OF_MEMORY
from hw2tune.search.design import UnitPoint
from hw2tune.search.guided import GuidedSampler
from hw2tune.search.risk import RARE, SPREAD, Risk
from hw2tune.search.view import as_stored

STUDY = TASK.study
SPACE = STUDY.search_space


def uniform(number, dimensions=4, seed=0):
    return np.random.default_rng(seed).random((number, dimensions))


def test_the_coefficients_are_the_mode_of_their_posterior():
    x, failed = uniform(30, 2), uniform(30, 1, seed=1)[:, 0] < 0.4
    terms = np.column_stack([np.ones(30), 2 * x - 1, (2 * x - 1) ** 2])
    prior = norm(loc=[RARE, 0, 0, 0, 0], scale=SPREAD)

    def log_posterior(weights):
        p = 1 / (1 + np.exp(-terms @ weights))
        return prior.logpdf(weights).sum() + np.log(np.where(failed, p, 1 - p)).sum()

    found = Risk(x, failed).weights
    around = found + 0.05 * np.random.default_rng(2).standard_normal((200, 5))
    assert log_posterior(found) > max(map(log_posterior, around))


@pytest.mark.parametrize(
    ("fails", "sure", "safe"),
    [
        (lambda one: one > 0.6, [0.9], [0.1, 0.4]),
        (lambda one: abs(one - 0.5) > 0.25, [0.05, 0.95], [0.5]),  # both ends of a range
    ],
)
def test_edges_are_learned_from_forty_trials(fails, sure, safe):
    x = uniform(40)
    risk = Risk(x, fails(x[:, 2]))
    at = {one: risk(np.array([[0.5, 0.5, one, 0.5]]))[0] for one in sure + safe}
    assert min(at[one] for one in sure) > 0.8
    assert max(at[one] for one in safe) < 0.2


@pytest.mark.parametrize(("failures", "most"), [(1, 0.5), (2, 0.67)])
def test_one_or_two_failures_close_no_part_of_the_space(failures, most):
    """Failures at high rates and as many trials that work at low ones: the high half is drawn half as often or more."""
    anywhere, high = uniform(500, seed=99), []
    for seed in range(20):
        failed = np.arange(2 * failures) < failures
        x = uniform(2 * failures, seed=seed)
        x[:, 0] = x[:, 0] / 2 + 0.5 * failed
        risk = Risk(x, failed)(anywhere)
        assert risk.max() < 0.999
        high.append(risk[anywhere[:, 0] > 0.5].mean())
    assert np.mean(high) < most


def test_a_trial_that_works_is_evidence_against_failing_around_it():
    x = uniform(9)
    failed = np.arange(9) < 2
    with_it = Risk(np.vstack([x, x[:1]]), np.append(failed, False))
    assert with_it(x[:1])[0] < Risk(x, failed)(x[:1])[0]


# The sampler.


def told(configuration, *, state=TrialState.COMPLETE, value=0.5, failure=None):
    """A trial as the view tells it to a sampler."""
    return as_stored(
        SPACE, configuration, state=state, value=value if state == TrialState.COMPLETE else None,
        intermediate_values={} if value is None else {1: value}, user_attrs={STATE: failure} if failure else {},
    )  # fmt: skip


def drawn(number, seed=0):
    points = np.random.default_rng(seed).random((number, 4))
    return [SPACE.suggest(UnitPoint(dict(zip(SPACE.distributions, point, strict=True)))) for point in points]


def fast(configuration):
    return configuration["learning_rate"] > 1e-2  # half of the range


def share_of_fast(trials, draws=200, **settings):
    sampler = GuidedSampler(STUDY, seed=0, **settings)
    return np.mean([fast(SPACE.suggest(UnitPoint(sampler.propose(trials)))) for _ in range(draws)])


@pytest.mark.parametrize("failure", [DIVERGED, OUT_OF_MEMORY])
def test_the_mixture_draws_seldom_where_trials_fail_and_still_draws_there(failure):
    trials = [told(one, failure=failure if fast(one) else None) for one in drawn(24)]
    assert 0 < share_of_fast(trials, startup=100) < 0.15 < 0.4 < share_of_fast([], startup=100, random=1.0)


def test_the_model_weighs_what_it_expects_by_the_chance_to_work():
    """Values rise up to the edge, and no failure is told: only the probability keeps the model from crossing it."""

    def trials(failure):
        return [told(one, value=0.3 if fast(one) else 0.8, failure=failure if fast(one) else None) for one in drawn(24)]

    crossing = [told(one, value=0.1 * np.log10(one["learning_rate"])) for one in drawn(24)]
    assert share_of_fast(crossing, 20, startup=0, mixed_every=1000) > 0.9
    assert share_of_fast(trials(DIVERGED), 20, startup=0, mixed_every=1000) < 0.15


def test_a_failure_is_no_centre_of_draws():
    failed = [told(one, failure=DIVERGED, value=0.5) for one in drawn(24) if fast(one)]
    works = [told(one, value=0.5) for one in drawn(24) if not fast(one)][:1]
    sampler = GuidedSampler(STUDY, seed=0, startup=100, random=0.0, moved=0.0, prior=False)
    assert {SPACE.suggest(UnitPoint(sampler.propose([*failed, *works])))["learning_rate"] for _ in range(50)} == {
        SPACE.decode(works[0].params)["learning_rate"]
    }


def test_running_trials_say_nothing_and_without_a_failure_draws_are_as_ever():
    fine = [told(one) for one in drawn(12)]
    running = [told(one, state=TrialState.RUNNING) for one in drawn(12, seed=1)]
    failed = told(drawn(1, seed=2)[0], failure=DIVERGED)
    sampler = GuidedSampler(STUDY, seed=0)
    assert sampler._risk([*fine, *running]) is None
    both = [sampler._risk(trials).weights for trials in ([*fine, failed], [*fine, failed, *running])]
    assert both[0].tolist() == both[1].tolist()
