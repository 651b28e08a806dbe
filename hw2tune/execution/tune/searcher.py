"""Where Tune asks for trials and says that they ended: a Tune searcher on Optuna's ask and tell.

Ray 2.60's own `OptunaSearch` tells trials stopped early as COMPLETE, leaves a NaN trial RUNNING for ever and names
every study "optuna"; this one tells COMPLETE, PRUNED or FAIL, and why. A trial whose worker died goes back to the
front and is given out again, with its last checkpoint: the way in which every interrupted trial goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from hw2tune.execution.resources import Room
from hw2tune.records.trials.rows import LABEL
from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.failures import Failure, failure_in, kernel_kills, of_worker
from hw2tune.search.recorder import Ledger
from hw2tune.search.retries import Faults

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class StudySearch(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Gives out interrupted trials first, then new ones until the study holds its number."""

    def __init__(
        self, ledger: Ledger, faults: Faults, *, room: Room, machines: Callable[[], list[str]] = list, here: str = ""
    ) -> None:
        super().__init__(metric=ledger.study.objective, mode=ledger.study.direction[:3])
        self.ledger, self.faults, self.room = ledger, faults, room
        self.machines, self.here = machines, here  # addresses of those that run; of this one
        self.interrupted = ledger.trials(TrialState.RUNNING)
        self.new = ledger.study.trials_possible - len(ledger.trials(*FINISHED)) - len(self.interrupted)
        self.live: dict[str, optuna.Trial] = {}  # by Tune's trial id
        self.on_gpu: set[str] = set()
        self.deaths: dict[str, Failure] = {}  # of workers, by Tune's trial id, before Tune says that the trial ended
        self.pruned: set[str] = set()
        self.unproven: list[tuple[optuna.Trial, Failure]] = []  # failed before any trial ended well
        self.ending = False  # asked to end from outside
        self.rearrange = False  # a machine is left out: the run ends and another begins without it

    @property
    def halted(self) -> bool:
        """Whether the run must end: the disk refuses, the first trials failed alike, or a machine is left out."""
        return self.ledger.refusal is not None or self.faults.alike is not None or self.rearrange

    def has_more(self) -> bool:
        """Whether `suggest` has a trial to give."""
        return not self.halted and (self.new > 0 or bool(self.interrupted))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next configuration, with the checkpoint of a trial that goes on; FINISHED, or None for nothing yet."""
        if self.halted:
            return None
        with self.ledger.writing():
            if self.interrupted:
                trial, checkpoint = self.ledger.take_up(self.interrupted.pop(0))
            elif self.new > 0:
                self.new -= 1
                trial, checkpoint = self.ledger.open_trial(), None
            else:
                return None if self.live else str(Searcher.FINISHED)  # one that runs may yet be given out again
            params = self.ledger.study.search_space.decode(trial.params)
            self.ledger.observer.trial_started(trial.number, trial.user_attrs.get(LABEL, ""), params)
            gpu = len(self.on_gpu & self.live.keys()) < self.room.gpu_slots
            if gpu:
                self.on_gpu.add(trial_id)
            self.live[trial_id] = trial
            return {"number": trial.number, "hyperparameters": params, "resume": checkpoint, "gpu": gpu}
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the stopper sees every epoch, this only those that do not end a trial."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended: finished, stopped by the pruner, failed in words, or its worker died."""
        trial = self.live.pop(trial_id, None)
        if trial is None or self.ledger.refusal is not None:
            return
        failure = failure_in(result)
        if failure is None and (error or result is None):
            failure = self.deaths.pop(trial_id, None) or of_worker("", node="")
            if self.ending:  # what ends us may have ended its worker as well; it goes on from its last epoch
                return
        with self.ledger.writing():
            if failure is not None:
                self._failed(trial, failure)
            else:
                self.faults.ended_well(str((result or {}).get("node_ip", "")))
                self.close_unproven()
                self.ledger.close_trial(trial, TrialState.PRUNED if trial_id in self.pruned else TrialState.COMPLETE)

    def _failed(self, trial: optuna.Trial, failure: Failure) -> None:
        if self.faults.again(trial.number, failure):
            self.ledger.put_back(trial, failure, self.faults.attempts[trial.number], of=self.faults.retries)
            self.interrupted.append(trial.storage.get_trial(trial._trial_id))
        else:
            self.ledger.write_error(trial.number, failure)
            self.faults.ended_badly(failure)
            if failure.state == DIVERGED:  # its own doing, whatever the others do
                self.ledger.close_failed(trial, failure)
            else:
                # While nothing has ended well the fault may lie in the set-up, and its trials deserve to run again.
                self.unproven.append((trial, failure))
            if self.faults.proven:
                self.close_unproven()
        if (machine := self.faults.to_leave_out(self.machines())) is not None:
            self.ledger.observer.note(
                f"{machine} is left out: two failures in a row, the last one `{self.faults.left_out[machine].reason}`"
            )
            self.rearrange = True

    def close_unproven(self) -> None:
        """The failures so far are the trials' own."""
        while self.unproven:
            self.ledger.close_failed(*self.unproven.pop(0))

    # Tune pickles searcher and stopper into a state of its own that nobody reads.
    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the storage holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Deaths(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Tells the searcher how a worker died: of Tune's parts only a scheduler is told before the searcher."""

    def __init__(self, search: StudySearch) -> None:
        super().__init__()
        self.search = search
        self.kernel_kills = kernel_kills()

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called where Tune 2.60's `_process_trial_failure` gives a trial up."""
        kills = kernel_kills()
        node = trial.node_ip or ""
        self.search.deaths[trial.trial_id] = of_worker(
            Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else "",
            node=node,
            killed_by_kernel=kills > self.kernel_kills and node in ("", self.search.here),
        )
        self.kernel_kills = kills

    def __getstate__(self) -> dict[str, Any]:
        return {}
