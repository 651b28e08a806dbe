"""The ledger of a running study: each trial's life written to Optuna's storage and its folder, and told.

Searcher and stopper, the two places where Tune calls us, both work on it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from hw2tune.records.epochs import append_epoch, read_epochs, write_epochs
from hw2tune.records.folder import StudyFolder, write_atomically
from hw2tune.records.trials import (
    LABEL,
    REASON,
    SECONDS,
    STATE,
    TrialRow,
    best_epoch,
    trial_rows,
)
from hw2tune.study.schema import LABELS, Study
from hw2tune.tune.messages import BEST, LAST
from hw2tune.tune.observer import Observer


class Ledger:
    """All writing about trials goes through here, in the driver's process."""

    def __init__(self, study: Study, optuna_study: optuna.Study, folder: StudyFolder, observer: Observer) -> None:
        self.study, self.optuna_study, self.folder, self.observer = study, optuna_study, folder, observer

    def enqueue_published(self) -> None:
        """Makes the published configurations trials 0 and 1 of a new study."""
        labels = [trial.user_attrs.get(LABEL) for trial in self.trials()]
        for label in LABELS:
            if label not in labels:  # a kill may have come between the two
                stored = self.study.search_space.encode(self.study.published[label])  # type: ignore[index]
                self.optuna_study.enqueue_trial(stored, user_attrs={LABEL: label})

    @property
    def unfinished(self) -> bool:
        """Whether trials are missing, or some that were begun are not at their end."""
        finished = len(self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return finished < self.study.trials or bool(self.trials(TrialState.RUNNING))

    def close_running(self, failure: Mapping[str, str]) -> None:
        """Ends every trial that was begun and is not at its end."""
        for frozen in self.trials(TrialState.RUNNING):
            self.close_failed(optuna.trial.Trial(self.optuna_study, frozen._trial_id), failure)

    def trials(self, *states: TrialState) -> list[optuna.trial.FrozenTrial]:
        """The trials in these states, by number; all of them where none is named."""
        return self.optuna_study.get_trials(deepcopy=False, states=states or None)

    def rows(self) -> list[TrialRow]:
        """Every trial as readers see it."""
        return trial_rows(self.study, self.trials(), alive=True)

    def open_trial(self) -> optuna.Trial:
        """Asks Optuna for the next trial and writes its configuration down."""
        trial = self.optuna_study.ask()
        self._write_params(trial)
        return trial

    def _write_params(self, trial: optuna.Trial) -> None:
        params = self.study.search_space.suggest(trial)
        record = {"number": trial.number, "label": trial.user_attrs.get(LABEL, ""), "seed": self.study.seed, **params}
        write_atomically(self.folder.trial(trial.number).params, json.dumps(record, indent=2) + "\n")

    def take_up(self, frozen: optuna.trial.FrozenTrial) -> tuple[optuna.Trial, bytes | None]:
        """An interrupted trial again, with its last checkpoint: the same number, the same configuration."""
        # Optuna 5.0 has no public way to continue a running trial of another process; Trial(study, id) is what
        # `ask` itself returns, and suggest_* on it gives back the stored values.
        trial = optuna.trial.Trial(self.optuna_study, frozen._trial_id)
        self._write_params(trial)  # completes one that was killed between its suggestions
        last = self.folder.trial(trial.number).last
        return trial, last.read_bytes() if last.exists() else None

    def resume(self, trial: optuna.Trial, history: Sequence[Mapping[str, Any]]) -> None:
        """The trial goes on behind the epochs in `history`, which its checkpoint holds: file and storage follow it.

        A kill between the writes of an epoch leaves them one epoch apart at most.
        """
        folder = self.folder.trial(trial.number)
        there = {record["epoch"]: record for record in read_epochs(folder)}
        write_epochs(folder, [there.get(epoch["epoch"], epoch) for epoch in history])
        known = trial.storage.get_trial(trial._trial_id).intermediate_values
        for epoch in history:
            if epoch["epoch"] not in known:
                trial.report(epoch[self.study.objective], epoch["epoch"])

    def record_epoch(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        """Writes one epoch: checkpoint, then line, then Optuna: `resume` brings together what a kill parts."""
        folder, epoch = self.folder.trial(trial.number), int(result["epoch"])
        if (best := result.pop(BEST, None)) is not None:
            write_atomically(folder.best, best)
        write_atomically(folder.last, result.pop(LAST))
        append_epoch(folder, _record(result))
        with warnings.catch_warnings():
            # A trial whose checkpoint is lost starts again, and the storage knows its epochs already.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            trial.report(result[self.study.objective], epoch)
        self.observer.epoch_finished(trial.number, epoch, result["validation_accuracy"], result["images_per_second"])

    def should_prune(self, trial: optuna.Trial) -> bool:
        """Asks the pruner; for published trials too, as others are held against their values, but these go on."""
        return trial.should_prune() and LABEL not in trial.user_attrs

    def close_trial(self, trial: optuna.Trial, state: TrialState, word: str, reason: str = "") -> None:
        """Tells Optuna how a trial ended, its value being the best over its epochs."""
        frozen = trial.storage.get_trial(trial._trial_id)
        best = best_epoch(frozen, self.study.direction)
        trial.set_user_attr(STATE, word)
        trial.set_user_attr(SECONDS, self._seconds(trial.number))
        if reason:
            trial.set_user_attr(REASON, reason)
        value = frozen.intermediate_values[best] if best is not None and state == TrialState.COMPLETE else None
        self.optuna_study.tell(trial.number, value, state=state)
        closed = trial.storage.get_trial(trial._trial_id)
        self.observer.trial_finished(trial_rows(self.study, [closed], alive=True)[0])

    def close_failed(self, trial: optuna.Trial, failure: Mapping[str, str]) -> None:
        """Ends a trial that could not go on; `failure` holds `state`, `reason` and, for a fault, `traceback`."""
        if "traceback" in failure:
            write_atomically(self.folder.trial(trial.number).root / "error.txt", failure["traceback"])
        self.close_trial(trial, TrialState.FAIL, failure["state"], failure["reason"])

    def _seconds(self, number: int) -> float:
        return float(sum(record["epoch_seconds"] for record in read_epochs(self.folder.trial(number))))


def _record(result: Mapping[str, Any]) -> dict[str, Any]:
    """What `result.json` keeps of a result: Tune's keys and ours; not the configuration, which params.json holds."""
    return {key: value for key, value in result.items() if key not in ("config", "hist_stats")}
