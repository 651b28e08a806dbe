"""Syne Tune's asynchronous multi-fidelity searches behind Optuna's interfaces, for `benchmarks.search`.

`cqr` is its ASHACQR (conformal quantile regression), `kde` its BOHB. They draw from the unit cube that a space is made
of, hear every epoch of every trial, and decide who is stopped, as in Syne Tune's own tuner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, uniform
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

from benchmarks.contestants.unit_cube import choices, point_of
from hw2tune.search.design import UnitPoint
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study


class SyneTune(BaseSampler, BasePruner):
    """A scheduler of Syne Tune's as sampler and pruner of one study."""

    def __init__(self, study: Study, seed: int, searcher: str) -> None:
        self.study = study
        self.choices = choices(study)
        self.scheduler = AsynchronousSuccessiveHalving(
            {name: choice(some) if some else uniform(0.0, 1.0) for name, some in self.choices.items()},
            metric="value", do_minimize=study.direction == "minimize", searcher=searcher, time_attr="epoch",
            max_t=study.max_epochs, grace_period=study.pruner.min_epochs, reduction_factor=3, random_seed=seed,
        )  # fmt: skip
        self.drawn: dict[int, dict[str, float]] = {}  # by trial, the coordinates that Syne Tune suggested
        self.told: dict[int, Trial] = {}
        self.verdicts: dict[tuple[int, int], str] = {}  # by trial and epoch

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if trial.number not in self.drawn:
            self._tell(study)
            self.drawn[trial.number] = self.scheduler.suggest().config
        at = UnitPoint(self.drawn[trial.number])
        match param_distribution:
            case CategoricalDistribution(choices=choices):
                return at.suggest_categorical(param_name, choices)
            case FloatDistribution(low=low, high=high, log=log):
                return at.suggest_float(param_name, low, high, log=log)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return at.suggest_int(param_name, low, high, step=step, log=log)
        raise AssertionError(f"a space has no {type(param_distribution).__name__}")

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        self._tell(study)
        return bool(self.verdicts.get((trial.number, trial.last_step or 0)) == SchedulerDecision.STOP)

    def _tell(self, study: optuna.Study) -> None:
        """Every epoch that Syne Tune has not heard of, with the configuration that was really trained."""
        for one in study.get_trials(deepcopy=False):
            for epoch in sorted(one.intermediate_values):
                if (one.number, epoch) not in self.verdicts:
                    result = {"value": one.intermediate_values[epoch], "epoch": epoch}
                    self.verdicts[one.number, epoch] = self.scheduler.on_trial_result(self._trial(one), result)

    def _trial(self, one: FrozenTrial) -> Trial:
        if one.number not in self.told:
            at = point_of(self.study.search_space, self._configuration(one))
            middle = {name: some[0] if some else 0.5 for name, some in self.choices.items()}
            config = middle | self.drawn.get(one.number, {}) | at
            self.told[one.number] = Trial(trial_id=one.number, config=config, creation_time=None)
            self.scheduler.on_trial_add(self.told[one.number])
        return self.told[one.number]

    def _configuration(self, one: FrozenTrial) -> Mapping[str, Value]:
        return self.study.search_space.decode(one.params)
