"""Which trials are stopped before their end. A pruner's state lies in the storage, so it survives a restart."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna import pruners
from optuna.pruners import BasePruner

from hw2tune.errors import StudyFileError
from hw2tune.search.halving import HalvingPruner
from hw2tune.search.named import class_at
from hw2tune.study.notation import did_you_mean
from hw2tune.study.schema import Pruner, Study


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
