"""Which trials are stopped before their end. A pruner's state lies in the storage, so it survives a restart."""

from __future__ import annotations

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from hw2tune.study.schema import Study


def build_pruner(study: Study) -> BasePruner:
    """The study's pruner."""
    settings = study.pruner
    match settings.name:
        case "asha":
            return SuccessiveHalvingPruner(min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor)
        case "median":
            return MedianPruner(n_startup_trials=4, n_warmup_steps=settings.min_epochs)
        case "none":
            return NopPruner()
