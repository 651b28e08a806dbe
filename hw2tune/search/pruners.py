"""Which trials are stopped before their end. A pruner's state lies in the storage, so it survives a restart."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna import pruners
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import StudyFileError
from hw2tune.records.trials.rows import failed_by_itself
from hw2tune.search.named import class_at
from hw2tune.study.notation import did_you_mean
from hw2tune.study.objectives import sign_of
from hw2tune.study.schema import Pruner, Study


class HalvingPruner(BasePruner):
    """Asynchronous successive halving (Li et al., 2020) by the best value so far.

    At `min_epochs`, `min_epochs * reduction_factor`, ... a trial goes on where it is among the best one in
    `reduction_factor` of all that have come so far, equals together; Optuna's own compares the values
    at the rung itself, though a trial's value is its best epoch's. A trial that failed by itself after the rung before
    has come too, as the worst.
    """

    def __init__(self, *, min_epochs: int, reduction_factor: int) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial, which has just ended an epoch, is stopped."""
        epoch = trial.last_step
        rungs = self._rungs(epoch or 0)
        if epoch not in rungs:
            return False
        before = rungs[-2] if len(rungs) > 1 else 0
        sign = sign_of(study.direction.name.lower())

        def best(one: FrozenTrial) -> float:
            if failed_by_itself(one):
                return -math.inf
            seen = (sign * value for step, value in one.intermediate_values.items() if step <= epoch)
            return max((value for value in seen if math.isfinite(value)), default=-math.inf)

        others = [
            best(one)
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number and self._came(one, epoch, before)
        ]
        go_on = max(1, (len(others) + 1) // self.reduction_factor)
        return sum(value > best(trial) for value in others) >= go_on

    def _came(self, one: FrozenTrial, epoch: int, before: int) -> bool:
        """Whether a trial has come to the rung at `epoch`, or failed on the way from the one at `before`."""
        if failed_by_itself(one):
            return (one.last_step or 0) >= before
        return one.state != TrialState.FAIL and (one.last_step or 0) >= epoch

    def _rungs(self, epoch: int) -> list[int]:
        """The rungs up to `epoch`."""
        rungs = [self.min_epochs]
        while rungs[-1] < epoch:
            rungs.append(rungs[-1] * self.reduction_factor)
        return rungs


def _patient(*, wrapped_pruner: str = "median", patience: int = 3, min_delta: float = 0.0, **more: Any) -> BasePruner:
    """Stops a trial that has not improved for `patience` epochs, with `median` only if that would stop it as well."""
    if wrapped_pruner not in ("median", "none"):
        raise ValueError(f'wrapped_pruner must be "median" or "none", but got {wrapped_pruner!r}')
    inner = pruners.MedianPruner(**more) if wrapped_pruner == "median" else None
    return pruners.PatientPruner(inner, patience=patience, min_delta=min_delta)


# By name: what makes it, and what the study's own settings become.
PRUNERS: dict[str, tuple[Callable[..., BasePruner], Callable[[Pruner, Study], dict[str, Any]]]] = {
    "halving": (
        HalvingPruner,
        lambda p, s: {"min_epochs": p.min_epochs, "reduction_factor": p.reduction_factor},
    ),
    "asha": (
        pruners.SuccessiveHalvingPruner,
        lambda p, s: {"min_resource": p.min_epochs, "reduction_factor": p.reduction_factor},
    ),
    "hyperband": (
        pruners.HyperbandPruner,
        lambda p, s: {
            "min_resource": p.min_epochs, "max_resource": s.max_epochs, "reduction_factor": p.reduction_factor
        },
    ),
    "median": (pruners.MedianPruner, lambda p, s: {"n_startup_trials": 4, "n_warmup_steps": p.min_epochs}),
    "percentile": (
        pruners.PercentilePruner,
        lambda p, s: {"percentile": 25.0, "n_startup_trials": 4, "n_warmup_steps": p.min_epochs},
    ),
    "patient": (_patient, lambda p, s: {"patience": 3, "n_startup_trials": 4, "n_warmup_steps": p.min_epochs}),
    "wilcoxon": (pruners.WilcoxonPruner, lambda p, s: {"p_threshold": 0.1, "n_startup_steps": p.min_epochs}),
    "none": (pruners.NopPruner, lambda p, s: {}),
}  # fmt: skip


def build_pruner(study: Study) -> BasePruner:
    """The study's pruner. Raises StudyFileError where it is none, or does not take its arguments."""
    name, arguments = study.pruner.name, study.pruner.arguments
    kind, settings = _kind(study)
    takes = inspect.signature(kind).parameters
    if unknown := [one for one in arguments if one not in takes]:
        raise StudyFileError(f"pruner.arguments.{unknown[0]}: {name} does not take it{did_you_mean(unknown[0], takes)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return kind(**{**settings(study.pruner, study), **arguments})
        except Exception as error:  # the user's class, or Optuna's of the user's arguments, may raise anything
            raise StudyFileError(f"pruner.arguments: {name} refuses them: {error}") from None


def _kind(study: Study) -> tuple[Callable[..., BasePruner], Callable[[Pruner, Study], dict[str, Any]]]:
    name = study.pruner.name
    if name in PRUNERS:
        return PRUNERS[name]
    return class_at("pruner", name, PRUNERS, study.code, BasePruner), lambda p, s: {}
