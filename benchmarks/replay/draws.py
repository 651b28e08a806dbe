"""Draws of the shipped sampler after any trials, in a study of Optuna's in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import optuna
from optuna.trial import FrozenTrial, TrialState

from hw2tune.search.algorithms import build_sampler
from hw2tune.search.view import as_stored
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Sampler, Study


def told(study: Study, configuration: Mapping[str, Value], values: Iterable[float], state: TrialState) -> FrozenTrial:
    """Return a trial with these values, epoch by epoch; its value is the best if it is complete.

    A pruned one without values is behind all others, as a study tells `tpe` of one that failed.
    """
    by_epoch = dict(enumerate(values, start=1))
    best = max(by_epoch.values()) if state == TrialState.COMPLETE else None
    return as_stored(study.search_space, configuration, state=state, value=best, intermediate_values=by_epoch)


def drawn(study: Study, trials: Iterable[FrozenTrial]) -> dict[str, Value]:
    """Return what `tpe` draws after these trials with the study's seed, likely to fail or not; a function of both."""
    memory = optuna.create_study(direction=study.direction)
    memory.add_trials(trials)
    tpe = study.model_copy(update={"sampler": Sampler(name="tpe")})
    memory.sampler = build_sampler(tpe, len(memory.trials))
    return study.search_space.suggest(memory.ask())
