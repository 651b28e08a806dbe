"""Asynchronous successive halving with its rungs in memory.

It decides as Optuna 5's `SuccessiveHalvingPruner` does and keeps its state where that one does, in the storage, so it
survives a restart; but it does not look through every trial of the study at each rung.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

_KEY = "completed_rung_"  # the system attribute's name in Optuna's own pruner, with the rung's number


class Asha(BasePruner):
    """Of the trials at each rung one in `reduction_factor` goes on; rungs lie at min_epochs * reduction_factor^k."""

    def __init__(self, *, min_epochs: int, reduction_factor: int) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor
        self._rungs: defaultdict[str, list[float]] | None = None  # values that reached it, in ascending order

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends at its last epoch."""
        if trial.last_step is None:
            return False
        value = trial.intermediate_values[trial.last_step]
        rung = sum(key.startswith(_KEY) for key in trial.system_attrs)
        while trial.last_step >= self.min_epochs * self.reduction_factor**rung:
            if math.isnan(value):
                return True
            values = self._read(study)[f"{_KEY}{rung}"]
            study._storage.set_trial_system_attr(trial._trial_id, f"{_KEY}{rung}", value)
            insort(values, value)
            kept = max(1, len(values) // self.reduction_factor)
            maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
            if value < values[-kept] if maximize else value > values[kept - 1]:
                return True
            rung += 1
        return False

    def _read(self, study: optuna.Study) -> defaultdict[str, list[float]]:
        if self._rungs is None:
            self._rungs = defaultdict(list)
            for trial in study.get_trials(deepcopy=False):
                for key, value in trial.system_attrs.items():
                    if key.startswith(_KEY):
                        insort(self._rungs[key], value)
        return self._rungs
