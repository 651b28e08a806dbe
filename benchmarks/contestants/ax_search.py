"""Ax's client with its own choice of generators, that is Sobol points and BoTorch, and its percentile stopping."""

from __future__ import annotations

import logging
import warnings

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.early_stopping.strategies import PercentileEarlyStoppingStrategy
from optuna.trial import TrialState

from benchmarks.contestants.outside import Outside
from hw2tune.study.schema import Study


class Ax(Outside):
    """Ax 1.3 with its defaults, but that trials may be stopped from our first rung on, not from epoch 11."""

    def __init__(self, study: Study, seed: int) -> None:
        super().__init__(study)
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        self.client = Client(random_seed=seed)
        self.client.configure_experiment(
            [
                ChoiceParameterConfig(name=name, values=some, parameter_type="float", is_ordered=False)
                if some
                else RangeParameterConfig(name=name, bounds=(0.0, 1.0), parameter_type="float")
                for name, some in self.choices.items()
            ]
        )
        self.client.configure_optimization("-value" if study.direction == "minimize" else "value")
        first = study.pruner.min_epochs - 1  # it asks for more than this
        self.client.set_early_stopping_strategy(PercentileEarlyStoppingStrategy(min_progression=first))
        self.suggested: dict[int, int] = {}  # by our numbers, those of Ax
        self.trials: dict[int, int] = {}

    def suggest(self, number: int) -> dict[str, float]:
        ((self.suggested[number], point),) = self.client.get_next_trials(1).items()
        return {name: float(value) for name, value in point.items()}

    def begin(self, number: int, point: dict[str, float]) -> None:
        if number in self.suggested:  # a pool trains another point, of which Ax is told instead
            self.client.mark_trial_abandoned(self.suggested[number])
        self.trials[number] = self.client.attach_trial(dict(point))

    def epoch(self, number: int, epoch: int, value: float) -> bool:
        self.client.attach_data(self.trials[number], {"value": value}, progression=epoch)
        return epoch < self.study.max_epochs and self.client.should_stop_trial_early(self.trials[number])

    def end(self, number: int, state: TrialState) -> None:
        if state == TrialState.COMPLETE:
            self.client.complete_trial(self.trials[number])
        elif state == TrialState.PRUNED:
            self.client.mark_trial_early_stopped(self.trials[number])
        else:
            self.client.mark_trial_failed(self.trials[number])
