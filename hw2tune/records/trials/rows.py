"""Trials as every reader sees them: one row each, with the state by our names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from optuna.trial import TrialState
from pydantic.dataclasses import dataclass

from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials import states
from hw2tune.study.hyperparameters import Value
from hw2tune.study.objectives import SECONDS, best_epoch, never_finite, sign_of
from hw2tune.study.schema import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

# Names of user attributes in Optuna's storage, set by the recorder.
LABEL, STATE, REASON = "label", "state", "reason"  # and SECONDS, PARAMETERS
BESIDES = "besides"  # what [[enqueue]] gives to a trial in place of what [training] fixes


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial. `value` is the best value of the objective over its epochs; `seconds` is spent training.

    Types are validated: a journal may come from a stranger.
    """

    number: int
    label: str  # the reference's name; empty for what the sampler chose
    state: str
    reason: str
    epochs: int
    value: float | None
    best_epoch: int | None
    seconds: float
    params: dict[str, Value]

    @property
    def epochs_spent(self) -> int:
        """Epochs of training, with the one that has no value because the trial diverged or ran out of memory in it."""
        return self.epochs + (self.state in states.COSTS_ITS_EPOCH and (self.value is not None or not self.epochs))

    @property
    def state_text(self) -> str:
        """The state as text, with the epoch where a trial was pruned."""
        return f"pruned at epoch {self.epochs}" if self.state == states.PRUNED else self.state


def trial_rows(
    study: Study, trials: Iterable[FrozenTrial], *, alive: bool, known: Mapping[int, TrialRow] | None = None
) -> list[TrialRow]:
    """The rows of a study's trials. Unless a process runs the study (`alive`), running trials are interrupted ones.

    `known` has the rows of some of these trials by `id`.
    """
    known = known or {}
    return [known.get(id(trial)) or _row(study, trial, alive=alive) for trial in trials]


def _row(study: Study, trial: FrozenTrial, *, alive: bool) -> TrialRow:
    values = trial.intermediate_values
    best, state = best_epoch(values, study.direction), _state(trial, alive=alive)
    reason = trial.user_attrs.get(REASON, "")
    if state in states.RANKED and values and best is None:  # version 0.1 let it be pruned
        state, reason = states.DIVERGED, never_finite(study.objective, values)
    return TrialRow(
        number=trial.number,
        label=trial.user_attrs.get(LABEL, ""),
        state=state,
        reason=reason,
        epochs=max(values, default=0),
        value=None if best is None else values[best],
        best_epoch=best,
        seconds=trial.user_attrs.get(SECONDS, 0.0),
        params=configuration_of(study, trial),
    )


def configuration_of(study: Study, trial: Trial | FrozenTrial) -> dict[str, Value]:
    """A trial's configuration without what [training] fixes: as it was drawn, with what it was given besides."""
    return study.search_space.decode(trial.params) | besides(study, trial)


def besides(study: Study, trial: Trial | FrozenTrial) -> dict[str, Value]:
    """The values that a trial's reference or its [[enqueue]] fixes and that are not searched."""
    reference = study.references.get(trial.user_attrs.get(LABEL, ""), {})
    enqueued: dict[str, Value] = trial.user_attrs.get(BESIDES, {})
    return {k: v for k, v in reference.items() if k not in study.space} | enqueued


def failed_by_itself(trial: FrozenTrial) -> bool:
    """Return whether the trial's own configuration, and no fault of a machine, is why it has no value."""
    return trial.state == TrialState.FAIL and trial.user_attrs.get(STATE) in states.FAILED_BY_ITSELF


def _state(trial: FrozenTrial, *, alive: bool) -> str:
    if trial.state == TrialState.FAIL:
        return str(trial.user_attrs.get(STATE, states.FAILED))
    if trial.state == TrialState.RUNNING:
        return states.RUNNING if alive else states.INTERRUPTED
    return {TrialState.COMPLETE: states.COMPLETE, TrialState.PRUNED: states.PRUNED}.get(trial.state, states.WAITING)


def best_first(rows: Iterable[TrialRow], direction: str) -> list[TrialRow]:
    """Finished trials that have a value, the best first; of equals the earlier one."""
    ranked = [row for row in rows if row.state in states.RANKED and row.value is not None]
    return sorted(ranked, key=lambda row: (-sign_of(direction) * (row.value or 0.0), row.number))


def write_trials_table(folder: StudyFolder, rows: Sequence[TrialRow], parameters: Sequence[str]) -> None:
    """Write `trials.csv`."""
    write_atomically(folder.trials_table, trials_csv(rows, parameters))


def trials_csv(rows: Sequence[TrialRow], parameters: Sequence[str]) -> str:
    """One line a trial: number, label, state, reason, epochs, value, best_epoch, seconds, one column a parameter."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "label", "state", "reason", "epochs", "value", "best_epoch", "seconds", *parameters])
    for row in rows:
        shared = [row.number, row.label, row.state, row.reason, row.epochs, row.value, row.best_epoch]
        table.writerow([*shared, round(row.seconds, 3), *(row.params.get(name) for name in parameters)])
    return text.getvalue()
