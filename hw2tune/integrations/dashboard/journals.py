"""The journals of several studies as one log for Optuna, which is read as they grow; nothing is written to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation

from hw2tune.records.layout import StudyFolder

OURS = "hw2tune"  # the worker of the entries that stand in no journal


class StudyJournal:
    """One study's journal, as far as it has been read."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self.study_id: int | None = None  # in the merged log; None before the journal's first whole line
        self.trial_ids: list[int] = []  # in the merged log, by number
        self.entries = 0
        self._first, self._offset = b"", 0

    def new_lines(self) -> list[bytes] | None:
        """The whole lines since the last call; None where another journal has taken this one's place."""
        try:
            with self.folder.journal.open("rb") as file:
                first = file.readline()  # it names a worker that no other journal has
                if (first != self._first and self._offset) or file.seek(0, 2) < self._offset:
                    return None
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be half-written
        self._offset += len(whole)
        self._first = first if self._offset else b""
        return whole.splitlines()


class MergedJournals(BaseJournalBackend):
    """Optuna's storage asks this for what is new. Each journal numbers from 0; here all have numbers of one log."""

    def __init__(self, folders: Callable[[], Sequence[StudyFolder]]) -> None:
        self.folders = folders
        self.journals: dict[str, StudyJournal] = {}
        self._log: list[dict[str, Any]] = []
        self._studies = self._trials = 0  # numbers given out, counted as Optuna's replay counts

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """The entries from a number on, with those that have come to the journals since."""
        there = {folder.name: folder for folder in self.folders()}
        for name in self.journals.keys() - there.keys():
            self._forget(name)
        for folder in there.values():
            self._pull(folder)
        return self._log[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse: a dashboard shows studies and changes none."""
        raise PermissionError("the journals of a dashboard are only read")

    def journal(self, study_id: int) -> StudyJournal:
        """The journal of a study of the merged log. Raises KeyError."""
        for journal in self.journals.values():
            if journal.study_id == study_id:
                return journal
        raise KeyError(study_id)

    def _pull(self, folder: StudyFolder) -> None:
        journal = self.journals.setdefault(folder.name, StudyJournal(folder))
        lines = journal.new_lines()
        if lines is None:  # `--fresh` began the study anew
            self._forget(folder.name)
            self._pull(folder)
            return
        for line in lines:
            journal.entries += 1
            try:
                entry = self._renumbered(json.loads(line), journal)
            except (ValueError, LookupError, TypeError, RecursionError):  # damaged: Optuna could not read it either
                continue
            if entry is not None:
                self._log.append(entry)

    def _renumbered(self, entry: dict[str, Any], journal: StudyJournal) -> dict[str, Any] | None:
        """A journal's entry with the merged log's numbers; None for one that Optuna passes over."""
        if entry["op_code"] == JournalOperation.CREATE_STUDY:
            if journal.study_id is not None:  # each run asks for the study, and gets the one that is there
                return None
            journal.study_id, self._studies = self._studies, self._studies + 1
            return entry | {"study_name": journal.folder.name}
        if entry["op_code"] == JournalOperation.CREATE_TRIAL:
            journal.trial_ids.append(self._trials)
            self._trials += 1
        if "trial_id" in entry:
            return entry | {"trial_id": journal.trial_ids[entry["trial_id"]]}
        return entry | {"study_id": journal.study_id}

    def _forget(self, name: str) -> None:
        """Takes a study out; its numbers are not given out again."""
        gone = self.journals.pop(name)
        if gone.study_id is not None:
            self._log.append({"op_code": JournalOperation.DELETE_STUDY, "worker_id": OURS, "study_id": gone.study_id})
