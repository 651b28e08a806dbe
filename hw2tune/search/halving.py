"""The pruner that studies get unless they name another: asynchronous successive halving."""

from __future__ import annotations

import math

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hw2tune.records.trials.rows import failed_by_itself
from hw2tune.study.objectives import sign_of


class HalvingPruner(BasePruner):
    """Asynchronous successive halving (Li et al., 2020) by the best value so far.

    At `min_epochs`, `min_epochs * reduction_factor`, ... a trial continues if it is among the best 1/`reduction_factor`
    of those that have come so far, ties included. Optuna's own compares the values at the rung itself, though a trial's
    value is its best epoch's. A trial that failed by itself after the rung before has come too, as the worst.
    """

    def __init__(self, *, min_epochs: int, reduction_factor: int) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial, which has just ended an epoch, is stopped."""
        epoch = trial.last_step or 0
        before, rung = 0, self.min_epochs
        while rung < epoch:
            before, rung = rung, rung * self.reduction_factor
        if epoch != rung:
            return False
        sign = sign_of(study.direction.name.lower())

        def best(one: FrozenTrial) -> float:
            seen = (sign * value for step, value in one.intermediate_values.items() if step <= epoch)
            return max((value for value in seen if math.isfinite(value)), default=-math.inf)

        others = []
        for one in study.get_trials(deepcopy=False):
            if failed_by_itself(one):
                others += [-math.inf] if (one.last_step or 0) >= before else []
            elif one.number != trial.number and one.state != TrialState.FAIL and (one.last_step or 0) >= epoch:
                others.append(best(one))
        value = best(trial)
        return sum(other > value for other in others) >= max(1, (len(others) + 1) // self.reduction_factor)
