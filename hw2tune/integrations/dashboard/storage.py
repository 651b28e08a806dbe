"""Optuna's storage as the dashboard sees it: the journals, with what our own readers know of each trial."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages.journal import JournalStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import _note

from hw2tune.integrations.dashboard.journals import MergedJournals, StudyJournal
from hw2tune.integrations.dashboard.words import claims_of, study_attributes, study_note, trial_attributes, trial_note
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import owner_of
from hw2tune.records.overview import Overview, read_study
from hw2tune.records.trials.rows import trial_rows
from hw2tune.records.trials.states import INTERRUPTED

METRIC_NAMES = "study:metric_names"  # Optuna's own key, that Study.set_metric_names writes


@dataclass(frozen=True)
class _Added:
    key: object  # of what it was made from
    user: dict[str, Any]
    system: dict[str, Any]


class DashboardStorage(JournalStorage):
    """The studies in `folders`, as they grow."""

    def __init__(self, folders: Callable[[], Sequence[StudyFolder]]) -> None:
        self._journals = MergedJournals(folders)
        self._added: dict[int, _Added] = {}
        super().__init__(self._journals)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials with our attributes; one that nobody trains any more is shown as waiting."""
        trials = super().get_all_trials(study_id, deepcopy=deepcopy)
        overview = self._overview(study_id, trials)
        shown = [_shown(trial, trial_attributes(row)) for trial, row in zip(trials, overview.rows, strict=True)]
        return [trial for trial in shown if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The same of one trial."""
        trial = super().get_trial(trial_id)
        study_id = self._replay_result._trial_id_to_study_id[trial_id]
        return _shown(trial, trial_attributes(self._overview(study_id, [trial]).rows[0]))

    def get_all_studies(self) -> list[FrozenStudy]:
        """The studies with our notes."""
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = self._added_to(study._study_id).system | study.system_attrs
            study.user_attrs = self._added_to(study._study_id).user
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Notes and the objective's name."""
        return self._added_to(study_id).system | super().get_study_system_attrs(study_id)

    def _added_to(self, study_id: int) -> _Added:
        """What we add to a study; it is made anew where something has changed."""
        journal = self._journals.journal(study_id)
        folder = journal.folder
        key = (journal.entries, owner_of(folder), _modified(folder))
        if study_id not in self._added or self._added[study_id].key != key:
            overview = self._overview(study_id, super().get_all_trials(study_id, deepcopy=False))
            self._added[study_id] = _Added(key, study_attributes(overview), self._notes(overview, journal))
        return self._added[study_id]

    def _notes(self, overview: Overview, journal: StudyJournal) -> dict[str, Any]:
        """The system attributes that the dashboard reads them from."""
        ours: dict[str, Any] = {METRIC_NAMES: [overview.study.objective_spec.label]}
        ours |= _note_attributes(study_note(overview, claims_of(journal.folder)), None)
        for trial_id, row in zip(journal.trial_ids, overview.rows, strict=False):
            ours |= _note_attributes(trial_note(journal.folder, overview.study, row), trial_id)
        return ours

    def _overview(self, study_id: int, trials: Sequence[FrozenTrial]) -> Overview:
        folder = self._journals.journal(study_id).folder
        study, running = read_study(folder), owner_of(folder)
        return Overview(
            folder=folder, study=study, rows=trial_rows(study, trials, alive=running is not None), running=running
        )


def _shown(trial: FrozenTrial, ours: dict[str, Any]) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.user_attrs = ours
    if ours["state"] == INTERRUPTED:
        shown.state = TrialState.WAITING
    return shown


def _note_attributes(body: str, trial_id: int | None) -> dict[str, Any]:
    return {_note.note_ver_key(trial_id): 1, **_note.split_body(body, trial_id)}


def _modified(folder: StudyFolder) -> tuple[int, ...]:
    """Changes when the study's file or its report does."""
    from hw2tune.report.outputs import SUMMARY, default_target

    paths = (folder.study_file, default_target([folder]) / SUMMARY)
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
