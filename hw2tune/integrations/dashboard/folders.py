"""The studies that a dashboard shows, as they come and go: copies in Optuna's storage in memory."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import Hw2tuneError, StoreError, StudyFolderError
from hw2tune.loggers import optuna_silenced
from hw2tune.records.atomic import stamp
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.lock import owner_of
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.remote.mirror import PUSH_SECONDS, reading, reading_study
from hw2tune.records.remote.store import is_url, shown
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.report.history import searched_on
from hw2tune.report.outputs import PAGE, SUMMARY, default_target
from hw2tune.report.study_data import races_of
from hw2tune.text.numbers import DASH, configuration, objective_value

METRIC_NAMES = "study:metric_names"  # Optuna's key, set by Study.set_metric_names with a warning
TRACEBACK = 1500  # characters from the end of a failure's traceback


class ShownFolders:
    """The studies `names` in `results`, or all of them, copied into `storage`. The folders are only read.

    `faults` holds the error of each unreadable study, which is read again when its files change.
    """

    def __init__(self, results: str | Path, names: Sequence[str] = ()) -> None:
        self.results, self.names = results, list(names)
        self.faults: dict[str, str] = {}
        self.storage = InMemoryStorage()
        self._copies: dict[str, tuple[int, bytes]] = {}  # number in the storage, first line of the journal
        self._known: dict[str, Overview] = {}  # that were copied
        self._versions: dict[str, Any] = {}  # of the files that were read, with or without success
        self._fetched, self._here = float("-inf"), Path()

    def __call__(self) -> list[StudyFolder]:
        """Bring the copies up to date and return the folders of the copied studies. Not for two threads at once."""
        named = [folder for folder in study_folders(self._reading()) if not self.names or folder.name in self.names]
        there = {one.name: one for folder in named for one in (folder, *study_folders(folder.arms))}
        for name in self._versions.keys() - there.keys():
            self._forget(name)
        for name, folder in there.items():
            if self._versions.get(name) != (version := _version(folder)):
                self._read(folder)
                self._versions[name] = version
        return [folder for name, folder in there.items() if name not in self.faults]

    def refuse_none(self) -> None:
        """Raise StudyFolderError if a named study does not exist, or none can be shown."""
        for name in self.names:
            reading_study(self.results, name)
        if self():
            return
        if self.faults:
            raise StudyFolderError("\n".join(self.faults.values()))
        raise StudyFolderError(f"no studies in {shown(self.results)} yet; `hw2tune study quickstart` makes one")

    def _reading(self) -> Path:
        """The results; behind a URL they are fetched as often as they are pushed."""
        if not is_url(self.results):
            return Path(self.results)
        if time.monotonic() - self._fetched > PUSH_SECONDS:
            try:
                self._here = reading(self.results, *self.names)
            except StoreError:
                if self._fetched == float("-inf"):
                    raise
            self._fetched = time.monotonic()  # after the work: a slow store is not asked all the time
        return self._here

    def _read(self, folder: StudyFolder) -> None:
        self.faults.pop(folder.name, None)
        try:
            self._copy(read_overview(folder, self._known.get(folder.name)))
        except Exception as error:  # a stranger's records can hold anything, and must not hide other studies
            self._forget(folder.name)
            strange = f"{folder.root}: cannot be shown ({type(error).__name__}: {error})"
            self.faults[folder.name] = str(error) if isinstance(error, Hw2tuneError) else strange

    def _forget(self, name: str) -> None:
        self._versions.pop(name, None)
        self.faults.pop(name, None)
        self._known.pop(name, None)
        if name in self._copies:
            self.storage.delete_study(self._copies.pop(name)[0])

    def _copy(self, overview: Overview) -> None:
        folder, name, journal = overview.folder, overview.folder.name, b""
        if folder.journal.exists():
            with folder.journal.open("rb") as file:
                journal = file.readline()  # names a worker that no other journal has
        study_id, known = self._copies.get(name, (0, None))
        if known is not None and not (known == journal and self._update(study_id, overview)):
            self._forget(name)  # another study has taken this one's place
        if name not in self._copies:
            direction = StudyDirection[overview.study.direction.upper()]
            with optuna_silenced():
                study_id = self.storage.create_new_study([direction], study_name=name)
            self._copies[name] = study_id, journal
            self._update(study_id, overview)
        self._known[name] = overview
        self.storage.set_study_system_attr(study_id, METRIC_NAMES, [overview.study.objective_spec.label])
        for key, value in study_attributes(overview).items():
            self.storage.set_study_user_attr(study_id, key, value)

    def _update(self, study_id: int, overview: Overview) -> bool:
        """Bring a copy's trials up to date. Return whether that was possible: finished trials cannot change."""
        there = self.storage.get_all_trials(study_id, deepcopy=False)
        if len(there) > len(overview.trials):
            return False
        before = self._known.get(overview.folder.name)
        copied = {(id(trial), id(row)) for trial, row in zip(before.trials, before.rows, strict=True)} if before else ()
        for trial, row in zip(overview.trials, overview.rows, strict=True):
            if (id(trial), id(row)) in copied:
                continue
            shown = _shown(trial, overview.folder, row)
            if trial.number >= len(there):
                self.storage.create_new_trial(study_id, template_trial=shown)
            elif not there[trial.number].state.is_finished():
                trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
                self._update_trial(trial_id, shown)
            elif (there[trial.number].state, there[trial.number].params) != (shown.state, shown.params):
                return False
        return True

    def _update_trial(self, trial_id: int, trial: FrozenTrial) -> None:
        for name, distribution in trial.distributions.items():
            internal = distribution.to_internal_repr(trial.params[name])
            self.storage.set_trial_param(trial_id, name, internal, distribution)
        for epoch, value in trial.intermediate_values.items():
            self.storage.set_trial_intermediate_value(trial_id, epoch, value)
        for key, value in trial.user_attrs.items():
            self.storage.set_trial_user_attr(trial_id, key, value)
        self.storage.set_trial_state_values(trial_id, trial.state, trial.values)


def _version(folder: StudyFolder) -> tuple[Any, ...]:
    """A value that changes with what is read of a study: its files, those of its arms, and the process that runs it."""
    own = map(stamp, (folder.study_file, folder.journal, default_target([folder]) / SUMMARY))
    return (*own, owner_of(folder), *map(_version, study_folders(folder.arms)))


def _shown(trial: FrozenTrial, folder: StudyFolder, row: TrialRow) -> FrozenTrial:
    """The trial with hw2tune's attributes. An interrupted trial waits: the same command resumes it.

    A complete trial has the value of its row, a function of its epochs: the journal's own may be a stranger's, and
    Optuna's storage compares it with others.
    """
    shown = copy.copy(trial)
    shown.user_attrs = trial_attributes(folder, row)
    if row.state == INTERRUPTED:
        shown.state = TrialState.WAITING
    elif trial.state == TrialState.COMPLETE:
        shown.state = TrialState.FAIL if row.value is None else TrialState.COMPLETE
        shown.values = None if row.value is None else [row.value]
    return shown


def trial_attributes(folder: StudyFolder, row: TrialRow) -> dict[str, Any]:
    """Return a trial's user attributes, without the empty ones."""
    errors = folder.trial(row.number).errors
    named = {
        "label": row.label,
        "state": row.state_text,
        "reason": row.reason,
        "best epoch": row.best_epoch,
        "epochs": row.epochs,
        "seconds": round(row.seconds, 1),
        "configuration": configuration(row.params).replace("\N{NO-BREAK SPACE}", " "),
        "traceback": errors.read_text("utf-8", "replace")[-TRACEBACK:] if row.reason and errors.is_file() else "",
    }
    return {name: value for name, value in named.items() if value not in ("", None, 0)}


def study_attributes(overview: Overview) -> dict[str, Any]:
    """Return a study's user attributes: progress, data set, objective, best value and the claims of its report."""
    study, best, folder = overview.study, overview.leading.best, overview.folder
    whole, unit = overview.extent
    said, of = claims_of(folder), f" of {overview.best_arm}" if overview.best_arm else ""
    sentences = dict.fromkeys([*said, *searched_on(overview, races_of(overview))] if said else ())
    return {
        "state": overview.state,
        "finished": f"{overview.done} of {whole} {unit}",
        "dataset": study.dataset,
        "objective": study.objective_spec.label,
        "best": DASH if best is None else f"{objective_value(best.value, study.objective)} (trial {best.number}{of})",
        "claims": "\n".join(sentences) or f"not tested; run `hw2tune summarize {folder.name}`",
        "report": str(default_target([folder]) / PAGE) if sentences else DASH,
    }


def claims_of(folder: StudyFolder) -> list[str]:
    """Return the sentences of the claims in a study's report, and on what came later; none without such a report."""
    try:
        summary = json.loads((default_target([folder]) / SUMMARY).read_text(encoding="utf-8"))
        study = summary["studies"][0]
        return [*(str(claim["sentence"]) for claim in study["claims"]), *map(str, study.get("history", []))]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
