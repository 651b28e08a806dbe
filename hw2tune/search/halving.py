"""The pruner `halving`: at each rung the best so far of trials are compared, and the better part goes on."""

from __future__ import annotations

import math

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hw2tune.records.trials.rows import failed_by_itself
from hw2tune.study.objectives import sign_of


class HalvingPruner(BasePruner):
    """Asynchronous successive halving (Li et al., 2020) by the best value so far.

    At `min_epochs`, `min_epochs * reduction_factor`, ... a trial goes on where it is among the best one in
    `reduction_factor` of all that have come so far, equals together; Optuna's own compares the values
    at the rung itself, though a trial's value is its best epoch's. A trial that failed by itself after the rung before
    has come too, as the worst.
    """

    def __init__(self, *, min_epochs: int, reduction_factor: int) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial, which has just ended an epoch, is stopped."""
        epoch = trial.last_step
        rungs = self._rungs(epoch or 0)
        if epoch not in rungs:
            return False
        before = rungs[-2] if len(rungs) > 1 else 0
        sign = sign_of(study.direction.name.lower())

        def best(one: FrozenTrial) -> float:
            if failed_by_itself(one):
                return -math.inf
            seen = (sign * value for step, value in one.intermediate_values.items() if step <= epoch)
            return max((value for value in seen if math.isfinite(value)), default=-math.inf)

        others = [
            best(one)
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number and self._came(one, epoch, before)
        ]
        go_on = max(1, (len(others) + 1) // self.reduction_factor)
        return sum(value > best(trial) for value in others) >= go_on

    def _came(self, one: FrozenTrial, epoch: int, before: int) -> bool:
        """Whether a trial has come to the rung at `epoch`, or failed on the way from the one at `before`."""
        if failed_by_itself(one):
            return (one.last_step or 0) >= before
        return one.state != TrialState.FAIL and (one.last_step or 0) >= epoch

    def _rungs(self, epoch: int) -> list[int]:
        """The rungs up to `epoch`."""
        rungs = [self.min_epochs]
        while rungs[-1] < epoch:
            rungs.append(rungs[-1] * self.reduction_factor)
        return rungs
