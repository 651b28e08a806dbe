"""Where Tune hands over each epoch: it is recorded, and Optuna's pruner decides whether the trial goes on."""

from __future__ import annotations

import time
from typing import Any

from ray import tune

from hw2tune.execution.tune.searcher import StudySearch
from hw2tune.search.messages import FAILURE, RESUMED


class StudyStopper(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Sees every epoch before Tune's other parts do (Ray 2.60, `TuneController._process_trial_result`).

    It records the epoch, takes the checkpoint out of the result so that Tune does not keep it, and asks the pruner.
    `deadline` is a time of `time.monotonic`.
    """

    def __init__(self, search: StudySearch, deadline: float | None = None) -> None:
        self.search, self.deadline = search, deadline
        self.interrupted = self.ran_out = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this trial ends here."""
        if FAILURE in result:
            return True
        ledger, trial = self.search.ledger, self.search.live[trial_id]
        history = result.pop(RESUMED, None)
        if history is not None:
            with ledger.writing():
                ledger.resume(trial, history)
            return bool(result["done"])
        with ledger.writing():
            ledger.record_epoch(trial, result)
            if ledger.should_prune(trial) and not result["done"]:
                self.search.pruned.add(trial_id)
                return True
        return bool(result["done"])

    def interrupt(self) -> None:
        """Ends the run: no new trials, the running ones stay as their last epoch left them."""
        self.interrupted = self.search.ending = True

    def stop_all(self) -> bool:
        """Whether the run ends here; the next one takes up the trials that were running."""
        self.ran_out = self.ran_out or (self.deadline is not None and time.monotonic() >= self.deadline)
        return self.interrupted or self.ran_out or self.search.halted

    def __getstate__(self) -> dict[str, Any]:
        return {}
