"""The ways in which a search and its race share a budget, in the worlds drawn from a table."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from benchmarks.replay.pool import Pool
from benchmarks.replay.table import table_of
from benchmarks.turning import WAYS, DrawnWorld, Simulated, Trial, _posterior, promises, simulated
from hw2tune.records.trials.states import COMPLETE, DIVERGED, PRUNED
from hw2tune.search.halving import HalvingPruner
from tests.replication.test_race import row

STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, DIVERGED: TrialState.FAIL}


@pytest.fixture(scope="module")
def search():
    world = DrawnWorld(Pool(table_of("cifar10-5k")), np.random.default_rng(0))
    return Simulated(world, "random", 0)


def test_its_halving_is_that_of_the_product(search):
    study = optuna.create_study(direction="maximize")
    task = search.world.pool.task.study  # without schedules, so that every trial is compared with every other
    pruner, stopped = HalvingPruner(study=task, min_epochs=1, reduction_factor=3), 0
    for one in search.trials[:60]:
        values, seen = one.values, dict[int, float]()
        for epoch, value in enumerate(values, 1):
            seen[epoch] = value
            trial = create_trial(state=TrialState.RUNNING, intermediate_values=dict(seen))
            study.add_trial(trial)
            asked = study.get_trials(deepcopy=False)[-1]
            last = epoch == len(values)
            pruned = pruner.prune(study, asked) and not one.label
            assert pruned == (last and one.state == PRUNED) or epoch == search.epochs
            stopped += pruned
            study._storage.set_trial_state_values(asked._trial_id, TrialState.FAIL)  # this epoch alone was asked about
        value = max(values) if one.state == COMPLETE else None
        study.add_trial(create_trial(state=STATES[one.state], value=value, intermediate_values=dict(seen)))
    assert 20 < stopped < 60


@pytest.mark.parametrize("budget", [12, 24, 32])
@pytest.mark.parametrize("way", WAYS)
def test_search_and_race_together_spend_no_more_than_the_budget(search, way, budget):
    shared = WAYS[way](search, budget)
    assert shared.searched + shared.raced <= budget
    assert shared.raced != 1
    assert 10 < shared.score < 60


def test_what_a_search_is_cut_off_is_not_known(search):
    rows = search.rows(12 * search.epochs)
    assert sum(one.epochs for one in rows if not one.label) <= 12 * search.epochs
    assert {one.state for one in rows} <= {COMPLETE, PRUNED}
    assert rows[-1].epochs <= search.trials[len(rows) - 1].spent


def test_a_sampler_is_told_of_a_training_that_diverged_as_of_one_without_a_value(search):
    pool, row = search.world.pool, search.trials[5].row
    told = [Trial(row, "", 0, [0.3, 0.2], state).told(pool) for state in (COMPLETE, PRUNED, DIVERGED)]
    assert [one.state for one in told] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert [(one.value, one.intermediate_values) for one in told] == [
        (0.3, {1: 0.3, 2: 0.2}), (None, {1: 0.3, 2: 0.2}), (None, {}),
    ]  # fmt: skip


def test_later_draws_of_tpe_begin_better_than_random_ones():
    world = DrawnWorld(Pool(table_of("mnist-5k")), np.random.default_rng(0))
    later = [simulated(world, sampler, 0, 24 * world.epochs)[15:] for sampler in ("random", "tpe")]
    first = [np.mean([one.values[0] if one.values else 0 for one in trials]) for trials in later]
    assert first[1] > first[0] + 0.1


def test_without_noise_the_posterior_is_what_was_measured_and_with_it_lies_between():
    y = np.linspace(0, 1, 300)
    support, sure = _posterior(y, np.full(300, 1e-3))
    assert np.allclose(sure @ support, y, atol=1e-3)
    _, unsure = _posterior(y, np.full(300, 0.5))
    assert np.ptp(unsure @ support) < 0.7


def test_a_clear_leader_promises_nothing_by_a_second_seed_and_long_searches_nothing_by_another_trial():
    tied = [row(number, 0.5 + 0.01 * (number % 5)) for number in range(10)]
    new, seed = promises(tied, 10, 0.0)
    assert 0 < seed < 0.01
    assert promises(tied, 100, 0.0) == pytest.approx((new / 10, seed))
    led = [*tied, row(10, 0.56)]
    assert promises(led, 10, 0.0)[1] < seed / 2
