"""A sampler's view of a study: the same trials in memory, with what it should know besides.

Optuna's samplers read the study that they are asked in. This one shows another: with two objectives, although the
storage has one (only so can trials be pruned), or with the finished trials of an earlier study. The storage stays the
one truth: the view is made from it anew after an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hw2tune.search.by_name import ByNameSampler, suggest
from hw2tune.study.objectives import PARAMETERS, SECONDS, best_epoch
from hw2tune.study.schema import Study

STATE = "sampler_state"  # user attribute: what the inner sampler wrote to its own trial
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A finished trial of another study, as Optuna stores it, that this study's space can draw as well."""

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    value: float


class ViewSampler(ByNameSampler):
    """Asks `inner` in a view of the study."""

    def __init__(self, study: Study, inner: BaseSampler, warm: Sequence[Observation]) -> None:
        self.study = study
        second: list[Literal["minimize", "maximize"]] = ["minimize"] if study.second_objective else []
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # making a study is announced otherwise
        self.view = optuna.create_study(directions=[study.direction, *second], sampler=inner)
        optuna.logging.set_verbosity(verbosity)
        self.asked: dict[int, optuna.Trial] = {}  # the view's trial by the number of the real one
        self.shown: set[int] = set()  # numbers of finished trials that the view has
        for one in warm:
            self.view.add_trial(
                optuna.trial.create_trial(
                    params=one.params, distributions=one.distributions, values=[one.value, *([0.0] if second else [])]
                )
            )

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What the inner sampler draws in the view."""
        if trial.number not in self.asked:
            self._catch_up(study)
            self.asked[trial.number] = self.view.ask()
            state = self.view.trials[-1].system_attrs
            study._storage.set_trial_user_attr(trial._trial_id, STATE, dict(state))
        return suggest(self.asked[trial.number], param_name, param_distribution)

    def _catch_up(self, study: optuna.Study) -> None:
        """Shows the view what finished since."""
        for frozen in study.get_trials(deepcopy=False):
            if frozen.number in self.shown or not frozen.state.is_finished():
                continue
            self.shown.add(frozen.number)
            values, asked = self._values(frozen), self.asked.pop(frozen.number, None)
            if asked is not None:
                state = TrialState.FAIL if values is None else TrialState.COMPLETE
                self.view.tell(asked.number, values, state=state)
            elif values is not None:
                self.view.add_trial(
                    optuna.trial.create_trial(
                        params=frozen.params,
                        distributions=frozen.distributions,
                        values=values,
                        system_attrs=frozen.user_attrs.get(STATE, {}),
                    )
                )

    def _values(self, frozen: FrozenTrial) -> list[float] | None:
        best = best_epoch(frozen.intermediate_values, self.study.direction)
        if frozen.state not in FINISHED or best is None:
            return None
        values = [frozen.intermediate_values[best]]
        if self.study.second_objective:
            second = frozen.user_attrs.get(SECONDS if self.study.second_objective == "seconds" else PARAMETERS)
            if second is None or frozen.state != TrialState.COMPLETE:
                return None  # a pruned trial's seconds say nothing of what a whole one takes
            values.append(float(second))
        return values
