"""The searches that are compared: hw2tune's own, and others."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna import pruners, samplers

from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Promotion
from benchmarks.replay.searches import Contestant
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.halving import HalvingPruner
from hw2tune.study.schema import Study

HEADLINE = "random + halving"  # what a search with a model has to beat
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def shipped(study: Study, seed: int) -> Any:
    """Sampler and pruner that the study names."""
    return build_sampler(study, 0), build_pruner(study)


def _optuna(kind: Any, pruner: Any = None, **arguments: Any) -> Any:
    def build(study: Study, seed: int) -> Any:
        return kind(seed=seed, **arguments), (pruner(study) if pruner else pruners.NopPruner())

    return build


def _halving(study: Study) -> Any:
    return HalvingPruner(study=study, min_epochs=study.pruner.min_epochs, reduction_factor=3)


class TuneAsha(pruners.BasePruner):
    """Ray Tune's own ASHA with its defaults: a bracket of `ASHAScheduler`, asked as Tune asks it."""

    def __init__(self, study: Study) -> None:
        from ray.tune.schedulers.async_hyperband import _Bracket

        self.bracket = _Bracket(1, study.max_epochs, reduction_factor=4, s=0)

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether its bracket stops the trial at this epoch."""

        class Named:
            trial_id = str(trial.number)

        epoch = trial.last_step or 0
        return bool(self.bracket.on_result(Named, epoch, trial.intermediate_values[epoch]) == "STOP")


def _syne_tune(searcher: str) -> Any:
    def build(study: Study, seed: int) -> Any:
        from benchmarks.contestants.syne_tune_search import SyneTune

        both = SyneTune(study, seed, searcher)
        return both, both

    return build


def _ax(study: Study, seed: int) -> Any:
    from benchmarks.contestants.ax_search import Ax

    both = Ax(study, seed)
    return both, both


def _priorband(pool: Pool, seed: int) -> Any:
    from benchmarks.contestants.priorband_search import PriorBand

    return PriorBand(pool, seed)


def _smac(pool: Pool, seed: int) -> Any:
    from benchmarks.contestants.smac_search import Smac

    return Smac(pool, seed)


CONTESTANTS = {
    "ours": Contestant(sampler="tpe", build=shipped),
    HEADLINE: Contestant(build=_optuna(samplers.RandomSampler, _halving), longer=2),
    "tpe + halving": Contestant(build=_optuna(samplers.TPESampler, _halving)),
    "random": Contestant(build=_optuna(samplers.RandomSampler), longer=2),
    "sobol": Contestant(build=_optuna(samplers.QMCSampler, scramble=True), longer=2),
    "sobol + halving": Contestant(build=_optuna(samplers.QMCSampler, _halving, scramble=True), longer=2),
    "tpe": Contestant(build=_optuna(samplers.TPESampler)),
    "optuna in tune": Contestant(build=_optuna(samplers.TPESampler, TuneAsha)),
    "syne tune's asha + cqr": Contestant(build=_syne_tune("cqr"), needs="syne_tune"),
    "syne tune's bohb": Contestant(build=_syne_tune("kde"), needs="syne_tune"),
    "smac3": Contestant(resuming=_smac, needs="smac"),
    "priorband": Contestant(resuming=_priorband, needs="neps"),
    "ax": Contestant(build=_ax, needs="ax"),
    "random, promoting": Contestant(resuming=Promotion),
}
