"""The pruner that studies get unless they name another: asynchronous successive halving."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hw2tune.records.trials.rows import configuration_of, failed_by_itself
from hw2tune.study.hyperparameters import Value, rising_share
from hw2tune.study.objectives import sign_of
from hw2tune.study.schema import Study

LEAST = 3  # trials alike, the trial itself among them, of which one can be stopped


class HalvingPruner(BasePruner):
    """Asynchronous successive halving (Li et al., 2020) by the best value so far, among trials that are alike.

    At `min_epochs`, `min_epochs * reduction_factor`, ... a trial continues if it is among the best 1/`reduction_factor`
    of those that have come so far, ties included. Optuna's own compares the values at the rung itself, though a trial's
    value is its best epoch's. A trial that failed by itself after the rung before has come too, as the worst, and one
    that is complete has come to every rung, also if patience ended it before.

    A learning rate that still rises has yet to show what it reaches: such a trial is compared with those whose rate
    still rises at that epoch, the others with each other, as soon as there are LEAST of them. `within` names
    hyperparameters whose values are kept apart as well.
    """

    def __init__(self, *, study: Study, min_epochs: int, reduction_factor: int, within: Sequence[str] = ()) -> None:
        if unknown := [name for name in within if name not in study.space]:
            raise ValueError(f"within must name hyperparameters of the space, but got {unknown[0]!r}")
        self.study, self.within = study, within
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

        kind, value = self._kind(trial, epoch), best(trial)
        others, alike = 0, []
        for one in study.get_trials(deepcopy=False):
            last = one.last_step or 0
            if failed := failed_by_itself(one):
                came = last >= before
            else:
                came = one.state == TrialState.COMPLETE or (one.state != TrialState.FAIL and last >= epoch)
            if not came or one.number == trial.number:
                continue
            if self._kind(one, epoch) == kind:
                alike.append(-math.inf if failed else best(one))
            else:
                others += 1
        if others and len(alike) + 1 < LEAST:
            return False
        return sum(other > value for other in alike) >= max(1, (len(alike) + 1) // self.reduction_factor)

    def _kind(self, trial: FrozenTrial, epoch: int) -> tuple[Value | None, ...]:
        """Return what trials that are compared at this epoch have in common."""
        one = self.study.complete(configuration_of(self.study, trial))
        rising = rising_share(str(one.get("schedule")), float(one.get("warmup", 0.0))) * self.study.max_epochs
        return epoch < rising, *(one.get(name) for name in self.within)
