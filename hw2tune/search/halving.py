"""The pruner `halving`: at each rung the best so far of trials are compared, and the better part goes on."""

from __future__ import annotations

import math

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState


class HalvingPruner(BasePruner):
    """Asynchronous successive halving (Li et al., 2020) by the best value so far.

    At `min_epochs`, `min_epochs * reduction_factor`, ... a trial goes on where it is among the best one in
    `reduction_factor` of all that have come so far, equals together; Optuna's own compares the values
    at the rung itself, though a trial's value is its best epoch's.
    """

    def __init__(self, *, min_epochs: int, reduction_factor: int) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial, which has just ended an epoch, is stopped."""
        epoch = trial.last_step
        if epoch is None or not self._is_rung(epoch):
            return False
        sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1

        def best(one: FrozenTrial) -> float:
            seen = (sign * value for step, value in one.intermediate_values.items() if step <= epoch)
            return max((value for value in seen if math.isfinite(value)), default=-math.inf)

        others = [
            best(one)
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number
            and one.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
            and one.last_step is not None
            and one.last_step >= epoch
        ]
        go_on = max(1, (len(others) + 1) // self.reduction_factor)
        return sum(value > best(trial) for value in others) >= go_on

    def _is_rung(self, epoch: int) -> bool:
        rung = self.min_epochs
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch
