"""A study as its sampler reads it: a function of the storage, so there is no copy that could differ from it.

Optuna's samplers read trials from a storage. This one is the study's own, read differently in four places: a second
objective is added (the storage has one, or no trial could be pruned), the finished trials of an earlier study come
first (the study does not count them), a trial that failed by itself has the worst value that any has reached, and a
reference that trains something that the space cannot draw is left out, since its point was never trained.
"""

from __future__ import annotations

import copy
import json
import math
import statistics
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages.journal import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import write_atomically
from hw2tune.records.dataset import images_of, read_dataset
from hw2tune.records.environment import runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.trials.rows import LABEL, STATE, besides, best_first, configuration_of, failed_by_itself
from hw2tune.records.trials.states import FAILED_BY_ITSELF
from hw2tune.search.risk import RiskOf, learned
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.objectives import PARAMETERS, SECONDS, best_epoch
from hw2tune.study.schema import Study
from hw2tune.study.space import Space

WARM_START = "warm-start.json"
QMC = "qmc:"  # begins the attribute in which Optuna 5.0's sampler keeps its place in the sequence


def as_stored(space: Space, configuration: Mapping[str, Value], **trial: Any) -> FrozenTrial:
    """Return a trial of this configuration in Optuna's form."""
    fixed = FixedTrial(space.encode(configuration))
    space.suggest(fixed)
    return optuna.trial.create_trial(params=fixed.params, distributions=fixed.distributions, **trial)


class View(JournalStorage):
    """The storage of `optuna_study` for its sampler; `warm` are finished trials of another study.

    A drawn trial is in memory only: whoever asked for it adds it to the study, or does not.
    """

    def __init__(self, study: Study, optuna_study: optuna.Study, warm: Sequence[FrozenTrial]) -> None:
        vars(self).update(vars(optuna_study._storage))  # one journal, read once
        self.study, self.optuna_study = study, optuna_study
        warm = [] if study.second_objective else warm  # their second value is not known
        self.warm = [one for one in warm if one.values]
        self.failed = [one for one in warm if failed_by_itself(one)]
        self.directions = optuna_study.directions + [StudyDirection.MINIMIZE] * bool(study.second_objective)
        self.noted: dict[str, Any] = {}  # of the study, by the sampler
        for one in optuna_study.get_trials(deepcopy=False):
            self.noted |= {key: value for key, value in one.system_attrs.items() if key.startswith(QMC)}

    def draw(self) -> FrozenTrial:
        """Return the next trial as the study's sampler draws it, running."""
        real = self.optuna_study
        self.drawn = optuna.trial.create_trial(state=TrialState.RUNNING)
        self.drawn.number = self.drawn._trial_id = len(real.get_trials(deepcopy=False))
        study = optuna.Study(real.study_name, self, real.sampler, real.pruner)
        # What `ask` returns of Optuna 5.0 where no trial waits: it would list all trials to know that.
        self.study.search_space.suggest(optuna.trial.Trial(study, self.drawn._trial_id))
        return self.drawn

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the study's direction, and that of its second objective."""
        return self.directions

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return every trial as the sampler is told of it, the drawn one last."""
        told = [*self._told([*self.failed, *self._stored()]), self.drawn]
        chosen = [one for one in told if states is None or one.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _stored(self) -> list[FrozenTrial]:
        return [one for one in self.optuna_study.get_trials(deepcopy=False) if self._is_of_the_space(one)]

    def learned_risk(self) -> RiskOf | None:
        """Return the probability of failing after all trials, those of the other study included; None without one."""
        return learned(self.study.search_space, [*self.warm, *self.failed, *self._stored()])

    def _is_of_the_space(self, one: FrozenTrial) -> bool:
        if not besides(self.study, one):
            return True
        drawn = self.study.search_space.decode(one.params)
        return identity(self.study.complete(configuration_of(self.study, one))) == identity(self.study.complete(drawn))

    def _told(self, stored: list[FrozenTrial]) -> list[FrozenTrial]:
        if not self.warm and not self.study.second_objective and not any(map(failed_by_itself, stored)):
            return stored
        reached = {one.number: values for one in stored if (values := self._reached(one))}
        warm = self._warm([values[0] for values in reached.values()])
        known = [*reached.values(), *(one.values for one in warm)]
        worst = [
            max(values) if direction == StudyDirection.MINIMIZE else min(values)
            for direction, values in zip(self.directions, zip(*known, strict=True), strict=bool(known))
        ]
        for place, one in enumerate(stored):
            if failed_by_itself(one) and self.study.sampler.name == "tpe":
                # As complete it would be before all pruned ones, and good where few are complete.
                stored[place] = _ended(one, [], otherwise=TrialState.PRUNED, intermediate_values={})
            elif failed_by_itself(one):
                # Optuna's samplers look at a trial that ended once: it runs until a value is known.
                steps = {(one.last_step or 0) + 1: worst[0]} if worst else {}
                stored[place] = _ended(one, worst, otherwise=TrialState.RUNNING, intermediate_values=steps)
            elif self.study.second_objective and one.state.is_finished():
                stored[place] = _ended(one, reached.get(one.number, []), otherwise=TrialState.FAIL)
        return [*warm, *stored]

    def _warm(self, reached: Sequence[float]) -> list[FrozenTrial]:
        """Return another study's trials with values at the location and scale of these, which this study reached.

        Other images, sizes and epochs move all values; what they say is which configurations are better.
        """
        values = standardised([one.values[0] for one in self.warm])
        location, scale = (statistics.mean(reached), statistics.pstdev(reached)) if reached else (0.0, 0.0)
        there = [location + (scale or 1.0) * value for value in values]
        return [
            _ended(one, [value], otherwise=one.state, intermediate_values={1: value})
            for one, value in zip(self.warm, there, strict=True)
        ]

    def _reached(self, one: FrozenTrial) -> list[float]:
        """Return the values of a trial that ended well, one per objective; empty if one is not known."""
        best, second = best_epoch(one.intermediate_values, self.study.direction), self.study.second_objective
        if best is None or one.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return []
        values = [one.intermediate_values[best]]
        if not second:
            return values
        other = one.user_attrs.get(SECONDS if second == "seconds" else PARAMETERS)
        # The seconds of a pruned trial are not those of a whole one.
        return [*values, float(other)] if other is not None and one.state == TrialState.COMPLETE else []

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return the drawn trial, or one of the study."""
        return self.drawn if trial_id == self.drawn._trial_id else super().get_trial(trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of the drawn trial."""
        self.drawn.params[param_name] = distribution.to_external_repr(param_value_internal)
        self.drawn.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note on the drawn trial what the sampler wants to find again."""
        self.drawn.system_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Note the same of the study on the trial: a kill between two writes would make qmc skip a point."""
        self.drawn.system_attrs[key] = self.noted[key] = value

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what the sampler has noted of the study, earlier versions in the study itself."""
        return super().get_study_system_attrs(study_id) | self.noted


def _ended(one: FrozenTrial, values: list[float], *, otherwise: TrialState, **more: Any) -> FrozenTrial:
    """Return the trial as complete with these values, or in another state if there are none."""
    told = copy.copy(one)
    told.state, told.values = (TrialState.COMPLETE, values) if values else (otherwise, None)
    vars(told).update(more)
    return told


def standardised(values: Sequence[float]) -> list[float]:
    """Return values with mean 0 and standard deviation 1; zeros if all are equal."""
    if not values:
        return []
    mean, deviation = statistics.mean(values), statistics.pstdev(values)
    return [(value - mean) / (deviation or 1.0) for value in values]


def fitting(study: Study, other: Overview) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return another study's trials that this one could draw: finished ones with value, failed ones with state.

    Failed ones are those that failed by themselves. Raises StudyFolderError if the other study has another objective,
    this one has a second one, or nothing fits.
    """
    place, way_out = f"--warm-start {other.folder.name}", "name another study, or leave --warm-start out"
    if other.searches:
        names = ", ".join(search.folder.name for search in other.searches)
        raise StudyFolderError(f"{place}: has its trials in arms; use one of {names}")
    if other.study.objective != study.objective:
        raise StudyFolderError(f"{place}: its objective is {other.study.objective}, and not {study.objective}")
    if study.second_objective:
        raise StudyFolderError(
            f"{place}: its {study.second_objective} are not known to this study; "
            "leave out --warm-start or second_objective"
        )
    ranked = best_first(other.rows, study.direction)
    failed = [row for row in other.rows if row.state in FAILED_BY_ITSELF]
    if not (known := [*ranked, *failed]):
        raise StudyFolderError(f"{place}: no trial of it has a value or failed by itself; {way_out}")
    fits = {row.number: params for row in known if (params := _fitting(study, other.study, row.params)) is not None}
    if not fits:
        raise StudyFolderError(
            f"{place}: none of its {len(known)} trials that have a value or failed by themselves lies in the "
            f"space of {study.name}; {way_out}"
        )
    return (
        [{"params": fits[row.number], "value": row.value} for row in ranked if row.number in fits],
        [{"params": fits[row.number], "state": row.state} for row in failed if row.number in fits],
    )


def take_over(study: Study, folder: StudyFolder, other: Overview) -> str:
    """Copy what fits of another study's ended trials into `warm-start.json`; return a note of how many.

    Raises StudyFolderError as `fitting`.
    """
    (found, failed), name = fitting(study, other), other.folder.name
    content = {"from": name, "observations": found, "failures": failed}
    write_atomically(folder.root / WARM_START, json.dumps(content, indent=1) + "\n", durable=True)
    more = f" and {len(failed)} failed {'one' if len(failed) == 1 else 'ones'}" if failed else ""
    if whole := len(best_first(other.rows, study.direction)):
        told = f"{len(found)} of {whole} finished trials of {name}{more} are known to the sampler"
    else:
        told = f"{name} has no trial with a value; the sampler knows {len(failed)} of its failed ones"
    here, there = (images_of(read_dataset(one), runs(one)).get("checksum") for one in (folder, other.folder))
    return told + (", though their images were others" if here and there and here != there else "")


def read_observations(study: Study, folder: StudyFolder) -> list[FrozenTrial]:
    """Return what `take_over` has written, in Optuna's form; empty if nothing was taken over."""
    try:
        content = json.loads((folder.root / WARM_START).read_text(encoding="utf-8"))
        entries = [(dict(entry["params"]), float(entry["value"])) for entry in content["observations"]]
        failures = [(dict(entry["params"]), str(entry["state"])) for entry in content.get("failures", [])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    label = {LABEL: "of another study"}  # no draw of this one
    warm = [
        as_stored(study.search_space, params, value=value, intermediate_values={1: value}, user_attrs=label)
        for params, value in entries
        if math.isfinite(value)
    ]
    warm += [
        as_stored(study.search_space, params, state=TrialState.FAIL, user_attrs=label | {STATE: state})
        for params, state in failures
    ]
    for number, trial in enumerate(warm, -len(warm)):
        trial.number = trial._trial_id = number  # before the first of this study
    return warm


def _fitting(study: Study, other: Study, params: Mapping[str, Value]) -> dict[str, Any] | None:
    """Return the configuration as this study would draw it; None if it cannot, or would train something else."""
    space = study.search_space
    complete = other.complete(params)
    searched = {name: value for name, value in complete.items() if name in space.distributions}
    if space.validation_errors(searched) or identity(study.complete(searched)) != identity(complete):
        return None
    return searched
