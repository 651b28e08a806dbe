"""Where Tune asks for trials and says that they ended: a Tune searcher on Optuna's ask and tell.

Ray 2.60's own `OptunaSearch` tells trials stopped early as COMPLETE, leaves a NaN trial RUNNING for ever and names
every study "optuna"; this one tells COMPLETE, PRUNED or FAIL, and why.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hw2tune.records.states import COMPLETE, PRUNED
from hw2tune.records.trials import LABEL
from hw2tune.tune.ledger import Ledger
from hw2tune.tune.messages import FAILURE, LOST_WORKER

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class StudySearch(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Gives out interrupted trials first, then new ones until the study holds its number."""

    def __init__(self, ledger: Ledger, interrupted: list[optuna.trial.FrozenTrial]) -> None:
        super().__init__(metric=ledger.study.objective, mode=ledger.study.direction[:3])
        self.ledger = ledger
        self.interrupted = list(interrupted)
        self.new = ledger.study.trials - len(ledger.trials(*FINISHED)) - len(interrupted)
        self.live: dict[str, optuna.Trial] = {}  # by Tune's trial id
        self.pruned: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next configuration, with the checkpoint of a trial that goes on; or FINISHED."""
        if self.interrupted:
            trial, checkpoint = self.ledger.take_up(self.interrupted.pop(0))
        elif self.new > 0:
            self.new -= 1
            trial, checkpoint = self.ledger.open_trial(), None
        else:
            return str(Searcher.FINISHED)
        self.live[trial_id] = trial
        params = self.ledger.study.search_space.decode(trial.params)
        self.ledger.observer.trial_started(trial.number, trial.user_attrs.get(LABEL, ""), params)
        return {"number": trial.number, "hyperparameters": params, "resume": checkpoint}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the stopper sees every epoch, this only those that do not end a trial."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended: finished, stopped by the pruner, failed in words, or its worker died."""
        trial = self.live.pop(trial_id, None)
        if trial is None:
            return
        failed = {key.split("/")[1]: value for key, value in (result or {}).items() if key.startswith(FAILURE + "/")}
        if failed:
            self.ledger.close_failed(trial, failed)
        elif error or result is None:
            self.ledger.close_failed(trial, LOST_WORKER)
        elif trial_id in self.pruned:
            self.ledger.close_trial(trial, TrialState.PRUNED, PRUNED)
        else:
            self.ledger.close_trial(trial, TrialState.COMPLETE, COMPLETE)

    # Tune pickles searcher and stopper into a state of its own that nobody reads.
    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the storage holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
