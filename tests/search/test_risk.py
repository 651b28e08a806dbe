"""The probability that a configuration fails by itself, and draws under it."""

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy import optimize
from scipy.stats import norm
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.failing import TASK
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import STATE
from hw2tune.records.trials.states import DIVERGED, LOST, OUT_OF_MEMORY
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.algorithms import build_sampler
from hw2tune.search.design import UnitPoint
from hw2tune.search.recorder import Recorder
from hw2tune.search.risk import RARE, SPREAD, Risk, learned
from hw2tune.search.view import as_stored
from hw2tune.study.schema import Sampler

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


def test_a_fit_has_one_thread_as_trials_have_the_others(monkeypatch):
    threads, minimize = [], optimize.minimize

    def watched(*arguments, **options):
        threads.extend(one["num_threads"] for one in threadpool_info())
        return minimize(*arguments, **options)

    monkeypatch.setattr(optimize, "minimize", watched)
    with threadpool_limits(2):
        Risk(uniform(9), np.arange(9) < 2)
    assert {*threads} == {1}


# What the recorder draws.


def told(configuration, *, state=TrialState.COMPLETE, failure=None):
    """A trial as it is stored."""
    failed = {"state": TrialState.FAIL, "user_attrs": {STATE: failure}} if failure else {"state": state}
    value = 0.5 if failed["state"] == TrialState.COMPLETE else None
    return as_stored(SPACE, configuration, value=value, **failed)


def drawn(number, seed=0):
    points = np.random.default_rng(seed).random((number, 4))
    return [SPACE.suggest(UnitPoint(dict(zip(SPACE.distributions, point, strict=True)))) for point in points]


def fast(configuration):
    return configuration["learning_rate"] > 1e-2  # half of the range


def draws(root, trials, sampler, number=60):
    """So many draws, each on its own, of a study with these trials."""
    study = STUDY.model_copy(update={"references": {}, "sampler": Sampler(name=sampler)})
    root.mkdir()
    found = []
    for seed in range(number):
        folder = StudyFolder(root / str(seed))
        folder.root.mkdir()
        optuna_study = create_optuna_study(folder, study)
        optuna_study.add_trials(trials)
        optuna_study.sampler = build_sampler(study, seed)
        recorder = Recorder(study.model_copy(update={"seed": seed}), optuna_study, folder, Listeners())
        found.append(recorder.configuration(recorder.open_trial()))
    return found


@pytest.mark.parametrize("failure", [DIVERGED, OUT_OF_MEMORY])
def test_draws_of_tpe_are_seldom_where_trials_fail_and_still_there(failure, tmp_path):
    """Eight trials, so that TPE itself still draws at random."""
    some = drawn(24)
    ended = [one for one in some if fast(one)][:4] + [one for one in some if not fast(one)][:4]
    trials = [told(one, failure=failure if fast(one) else None) for one in ended]
    shares = {
        sampler: np.mean([fast(one) for one in draws(tmp_path / sampler, trials, sampler)])
        for sampler in ("tpe", "random")
    }
    assert 0 < shares["tpe"] < 0.25 < 0.4 < shares["random"]


def test_a_trial_that_a_machine_failed_or_that_runs_says_nothing_of_its_configuration():
    ended = [*map(told, drawn(12)), told(drawn(1, seed=2)[0], failure=DIVERGED)]
    others = [told(one, state=TrialState.RUNNING) for one in drawn(12, seed=1)]
    others += [told(one, failure=LOST) for one in drawn(1, seed=3)]
    assert learned(SPACE, ended[:-1]) is learned(SPACE, [*ended[:-1], *others]) is None
    one, (configuration,) = learned(SPACE, ended), drawn(1, seed=4)
    assert one(configuration) == learned(SPACE, [*ended, *others])(configuration)


def test_where_all_fails_a_new_configuration_is_drawn_all_the_same(tmp_path):
    trials = [told(one, failure=DIVERGED) for one in drawn(40)]
    assert len(draws(tmp_path / "all", trials, "tpe", number=3)) == 3
