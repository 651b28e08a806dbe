"""The pruner `halving`, and patience."""

import optuna
import pytest
from optuna.trial import TrialState

from hw2tune.errors import StudyFileError
from hw2tune.search.algorithms import build_pruner
from hw2tune.search.halving import HalvingPruner
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Study
from tests.search.test_driver import Driver, history

PLAIN = parse_study(*find_study("quickstart"))  # without schedules


def stopped_at(curves, *, direction="maximize", min_epochs=1):
    """Trials one after another: the epoch at which each is stopped, None where it goes on to its end."""
    study = optuna.create_study(
        direction=direction, pruner=HalvingPruner(study=PLAIN, min_epochs=min_epochs, reduction_factor=3)
    )
    found = []
    for curve in curves:
        trial, stop = study.ask(), None
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                stop = epoch
                break
        study.tell(trial, None if stop else max(curve), state=TrialState.PRUNED if stop else TrialState.COMPLETE)
        found.append(stop)
    return found


def test_the_best_third_goes_on_at_each_rung():
    assert stopped_at([[0.5] * 9, [0.4] * 9, [0.3] * 9, [0.6] * 9]) == [None, 1, 1, None]


def test_the_best_so_far_counts_and_not_the_epoch_of_the_rung():
    assert stopped_at([[0.5, 0.5, 0.5], [0.6, 0.7, 0.1]]) == [None, None]


def test_equals_go_on_together():
    assert stopped_at([[0.1] * 3, [0.1] * 3, [0.1] * 3]) == [None, None, None]


def test_a_value_that_is_no_number_is_worse_than_any():
    assert stopped_at([[0.1] * 3, [float("nan")] * 3, [0.2] * 3]) == [None, 1, None]


def test_a_loss_goes_on_where_it_is_small_and_rungs_begin_where_they_are_told_to():
    assert stopped_at([[0.5] * 9, [0.9] * 9, [0.4] * 9], direction="minimize", min_epochs=2) == [None, 2, None]


def test_what_failed_by_itself_on_the_way_to_a_rung_has_come_to_it_as_the_worst():
    study = optuna.create_study(
        direction="maximize", pruner=HalvingPruner(study=PLAIN, min_epochs=1, reduction_factor=3)
    )

    def stopped(value, *, at, before=()):
        trial = study.ask()
        for epoch, one in [*before, (at, value)]:
            trial.report(one, epoch)
        return trial.should_prune()

    def fails(state, *values):
        trial = study.ask()
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        trial.set_user_attr("state", state)
        study.tell(trial, state=TrialState.FAIL)

    assert [stopped(value, at=1) for value in (0.5, 0.4)] == [False, True]
    for state in ("lost", "lost", "lost", "lost"):
        fails(state)
    assert stopped(0.4, at=1)  # among three: faults of machines do not count
    for state in ("diverged", "out of memory", "diverged"):
        fails(state)
    assert not stopped(0.4, at=1)  # among seven
    assert [stopped(value, at=3) for value in (0.5, 0.4)] == [False, True]  # none of them was on its way to epoch 3
    for _ in range(3):
        fails("diverged", 0.9)
    assert not stopped(0.4, at=3)


class Rungs:
    """Trials of cifar10-plus one after another, the rungs being at 3, 9 and 27 of 35 epochs."""

    def __init__(self, **overrides: object) -> None:
        self.study: Study = parse_study(*find_study("cifar10-plus"), overrides=overrides)
        self.optuna_study = optuna.create_study(direction="maximize", pruner=build_pruner(self.study))

    def stopped(self, schedule, *values, epoch=3, complete=False, **more):
        """Return for each value whether a trial that has it up to this epoch is stopped there."""
        return [self._stopped({"schedule": schedule, **more}, value, epoch, complete) for value in values]

    def _stopped(self, configuration, value, epoch, complete):
        drawn = self.study.references["found"] | configuration
        space = self.study.search_space
        self.optuna_study.enqueue_trial(space.encode({name: drawn[name] for name in drawn if name in self.study.space}))
        trial = self.optuna_study.ask()
        space.suggest(trial)
        for step in range(1, epoch + 1):
            trial.report(value, step)
        stop = trial.should_prune()
        if complete:
            self.optuna_study.tell(trial, value)
        return stop


def test_trials_whose_rate_still_rises_are_compared_with_each_other():
    one = Rungs()
    assert one.stopped("constant", 0.5, 0.4, 0.6, 0.3) == [False, True, False, True]
    assert one.stopped("one_cycle", 0.10, 0.08) == [False, False]  # too few to compare with
    assert one.stopped("one_cycle", 0.09, 0.12) == [True, False]  # below every constant rate, both
    assert one.stopped("constant", 0.5, 0.7) == [True, False]  # the rising ones are none of theirs


def test_a_rate_that_has_risen_is_compared_with_all_that_do_not_rise():
    one = Rungs()
    one.stopped("constant", 0.5, 0.6, 0.7, epoch=27)
    assert one.stopped("one_cycle", 0.6, 0.8, epoch=27) == [True, False]  # 30 % of 35 epochs are over


def test_warm_up_counts_as_it_is_drawn_or_fixed():
    none = {f"references.{name}.warmup": 0.0 for name in ("baseline", "found")}
    drawn = Rungs(**{"space.warmup": {"low": 0.0, "high": 0.4}}, **none)
    assert drawn.stopped("cosine", 0.5, 0.6, 0.7, warmup=0.0) == [False, False, False]
    assert drawn.stopped("cosine", 0.1, 0.2, 0.1, warmup=0.1) == [False, False, True]
    assert drawn.stopped("cosine", 0.1, warmup=0.05) == [True]  # 1.75 epochs, which are over
    fixed = Rungs(**{"training.warmup": 0.1})
    assert fixed.stopped("cosine", 0.5, 0.4, 0.6) == [False, True, False]  # all rise: nothing to keep apart


def test_values_named_by_within_are_kept_apart_too():
    one = Rungs(**{"pruner.arguments": {"within": ["schedule"]}})
    assert one.stopped("constant", 0.5, 0.4, 0.6) == [False, True, False]
    assert one.stopped("cosine", 0.3, 0.1, 0.2, 0.4) == [False, False, True, False]


def test_within_names_what_is_searched():
    with pytest.raises(StudyFileError) as error:
        Rungs(**{"pruner.arguments": {"within": ["schedul"]}})
    assert str(error.value) == (
        "pruner.arguments: halving refuses them: within must name hyperparameters of the space, but got 'schedul'"
    )


def test_what_patience_completed_is_compared_at_later_rungs():
    one = Rungs()
    assert one.stopped("constant", 0.7, epoch=5, complete=True) == [False]
    assert one.stopped("constant", 0.6, 0.8, epoch=9) == [True, False]


@pytest.mark.parametrize(("patience", "epochs"), [(2, 3), (None, 5)])
def test_a_trial_that_no_longer_improves_is_complete_with_its_best(tmp_path, patience, epochs):
    driver = Driver(tmp_path, trials=3, **{"pruner.name": "none", "pruner.patience": patience})
    for name in ("baseline", "l2"):
        driver.next(name)
        driver.run(name, [0.5, 0.4, 0.3, 0.2, 0.1])  # a reference is always trained to its end
    driver.next("a")
    for epoch, accuracy in enumerate([0.6, 0.5, 0.6, 0.7, 0.8][:epochs], 1):
        assert driver.epoch("a", epoch, accuracy) == (epoch == epochs)
    trial = driver.trials[2]
    assert trial.state is TrialState.COMPLETE
    assert trial.value == max([0.6, 0.5, 0.6, 0.7, 0.8][:epochs])
    assert [len(one.intermediate_values) for one in driver.trials] == [5, 5, epochs]


def test_one_whose_patience_ended_when_the_driver_died_ends_when_it_is_taken_up(tmp_path):
    overrides = {"pruner.name": "none", "pruner.patience": 2}
    first = Driver(tmp_path, trials=3, **overrides)
    for name in ("baseline", "l2"):
        first.next(name)
        first.run(name, [0.5] * 5)
    first.next("a")
    for epoch, accuracy in ((1, 0.6), (2, 0.5)):
        first.epoch("a", epoch, accuracy)
    second = Driver(tmp_path, trials=3, **overrides)
    second.next("a")
    assert second.resumed("a", history(0.6, 0.5, 0.5))
    assert second.trials[2].state is TrialState.COMPLETE
