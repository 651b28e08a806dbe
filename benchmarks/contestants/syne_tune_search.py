"""Syne Tune's asynchronous multi-fidelity searches.

`cqr` is its ASHACQR (conformal quantile regression), `kde` its BOHB.
"""

from __future__ import annotations

import numpy as np
from optuna.trial import TrialState
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, uniform
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

from benchmarks.contestants.outside import Outside
from hw2tune.study.schema import Study


class SyneTune(Outside):
    """A scheduler of Syne Tune's, told as in its own tuner."""

    def __init__(self, study: Study, seed: int, searcher: str) -> None:
        super().__init__(study)
        np.random.seed(seed)  # its choice of a bracket
        self.scheduler = AsynchronousSuccessiveHalving(
            {name: choice(some) if some else uniform(0.0, 1.0) for name, some in self.choices.items()},
            metric="value", do_minimize=study.direction == "minimize", searcher=searcher, time_attr="epoch",
            max_t=study.max_epochs, grace_period=study.pruner.min_epochs, reduction_factor=3, random_seed=seed,
        )  # fmt: skip
        self.trials: dict[int, Trial] = {}

    def suggest(self, number: int) -> dict[str, float]:
        return dict(self.scheduler.suggest().config)

    def begin(self, number: int, point: dict[str, float]) -> None:
        self.trials[number] = Trial(trial_id=number, config=point, creation_time=None)
        self.scheduler.on_trial_add(self.trials[number])

    def epoch(self, number: int, epoch: int, value: float) -> bool:
        decision = self.scheduler.on_trial_result(self.trials[number], {"value": value, "epoch": epoch})
        return bool(decision == SchedulerDecision.STOP)

    def end(self, number: int, state: TrialState) -> None:
        if state == TrialState.FAIL:
            self.scheduler.on_trial_error(self.trials[number])
