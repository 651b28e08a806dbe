"""A search of another library behind Optuna's interfaces, for `benchmarks.search`.

It draws from the unit cube that a space is made of, hears every epoch of every trial with the configuration that was
really trained, and decides itself which trials are stopped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.contestants.unit_cube import choices, point_of
from hw2tune.search.design import UnitPoint
from hw2tune.study.schema import Study

MIDDLE = 0.5  # of a coordinate that does not apply


class Outside(BaseSampler, BasePruner):
    """Sampler and pruner of one study."""

    def __init__(self, study: Study) -> None:
        self.study, self.choices = study, choices(study)
        self.drawn: dict[int, dict[str, float]] = {}  # by trial, the coordinates that were suggested
        self.began = set[int]()
        self.ended = set[int]()
        self.verdicts: dict[tuple[int, int], bool] = {}  # by trial and epoch, whether it is stopped there

    @abstractmethod
    def suggest(self, number: int) -> dict[str, float]:
        """Coordinates of the next trial."""

    @abstractmethod
    def begin(self, number: int, point: dict[str, float]) -> None:
        """A trial trains at this point, which is where it was drawn but for what a pool made of it."""

    @abstractmethod
    def epoch(self, number: int, epoch: int, value: float) -> bool:
        """Whether the trial is stopped."""

    @abstractmethod
    def end(self, number: int, state: TrialState) -> None:
        """A trial was trained to its end, stopped, or failed."""

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
            self._hear(study)
            self.drawn[trial.number] = self.suggest(trial.number)
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
        self._hear(study)
        return self.verdicts.get((trial.number, trial.last_step or 0), False)

    def _hear(self, study: optuna.Study) -> None:
        """Every epoch and every end that was not told yet."""
        for one in study.get_trials(deepcopy=False):
            if one.intermediate_values or one.state.is_finished():
                self._begin(one)
            for epoch in sorted(one.intermediate_values):
                if (one.number, epoch) not in self.verdicts:
                    self.verdicts[one.number, epoch] = self.epoch(one.number, epoch, one.intermediate_values[epoch])
            if one.state.is_finished() and one.number not in self.ended:
                self.ended.add(one.number)
                self.end(one.number, one.state)

    def _begin(self, one: FrozenTrial) -> None:
        if one.number not in self.began:
            self.began.add(one.number)
            at = point_of(self.study.search_space, self.study.search_space.decode(one.params))
            middle = {name: some[0] if some else MIDDLE for name, some in self.choices.items()}
            self.begin(one.number, middle | self.drawn.get(one.number, {}) | at)
