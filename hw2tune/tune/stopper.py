"""Where Tune hands over each epoch: it is recorded, and Optuna's pruner decides whether the trial goes on."""

from __future__ import annotations

from typing import Any

from ray import tune

from hw2tune.tune.messages import FAILURE, RESUMED
from hw2tune.tune.searcher import StudySearch


class StudyStopper(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Sees every epoch before Tune's other parts do (Ray 2.60, `TuneController._process_trial_result`).

    It records the epoch, takes the weights out of the result so that Tune does not keep them, and asks the pruner.
    """

    def __init__(self, search: StudySearch) -> None:
        self.search = search
        self.interrupted = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this trial ends here."""
        if FAILURE in result:
            return True
        trial = self.search.live[trial_id]
        history = result.pop(RESUMED, None)
        if history is not None:
            self.search.ledger.resume(trial, history)
            return bool(result["done"])
        self.search.ledger.record_epoch(trial, result)
        if self.search.ledger.should_prune(trial) and not result["done"]:
            self.search.pruned.add(trial_id)
            return True
        return bool(result["done"])

    def interrupt(self) -> None:
        """Ends the run: no new trials, the running ones stay as their last epoch left them."""
        self.interrupted = True

    def stop_all(self) -> bool:
        """True once the user has interrupted; the next run takes up the trials that were running."""
        return self.interrupted

    def __getstate__(self) -> dict[str, Any]:
        return {}
