"""Optuna's storage of a study: the one truth about its trials."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
from collections.abc import Container, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from optuna.distributions import json_to_distribution
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.storages.journal import _storage as _journal
from optuna.trial import TrialState
from pydantic_core import from_json

from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.study.schema import Study

if TYPE_CHECKING:
    import optuna


# Reading a journal, Optuna parses a distribution for every parameter of every trial, and copies a trial before each
# entry about it, as somebody might hold it. Nobody does before the journal is read: without the two, and with the
# parser of pydantic, it is read in a third of the time.
_parsed_once = functools.cache(json_to_distribution)
_without_copies = SimpleNamespace(copy=lambda trial: trial, deepcopy=copy.deepcopy)


class _LockedAlready(JournalFileOpenLock):
    """No lock of Optuna's: one process writes, under the study's own lock, which dies with it. Optuna's would not."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class _Backend(JournalFileBackend):
    """Optuna's file, read whole at first; it can take several entries in one write and one fsync."""

    _held: list[dict[str, Any]] | None = None

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if log_number_from > 0:
            yield from super().read_logs(log_number_from)
            return
        content = Path(self._file_path).read_bytes()
        ended = content[: content.rfind(b"\n") + 1]  # another process may be writing the next line
        lines = ended.splitlines()
        self._log_number_offset[len(lines)] = len(ended)  # where the next entry starts
        yield from map(from_json, lines)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._held is None:
            super().append_logs(logs)
        else:
            self._held += logs

    @contextlib.contextmanager
    def in_one_write(self) -> Iterator[list[dict[str, Any]]]:
        self._held = []
        try:
            yield self._held
        finally:
            held, self._held = self._held, None
            if held:
                super().append_logs(held)


class _Storage(JournalStorage):
    """Optuna's journal, which knows its waiting trials: `Study.ask` looks for one among all trials each time."""

    _waiting: set[int] | None = None  # ids

    def __init__(self, backend: _Backend) -> None:
        super().__init__(backend)
        self.in_one_write = backend.in_one_write

    def create_new_trial(self, study_id: int, template_trial: optuna.trial.FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        if self._waiting is not None and template_trial is not None:
            self._waiting.add(trial_id)
        return trial_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[optuna.trial.FrozenTrial]:
        if states != (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        if self._waiting is None:
            self._waiting = {trial._trial_id for trial in super().get_all_trials(study_id, deepcopy, states)}
        found = [self.get_trial(trial_id) for trial_id in sorted(self._waiting)]
        self._waiting = {trial._trial_id for trial in found if trial.state == TrialState.WAITING}
        return [trial for trial in found if trial.state == TrialState.WAITING]


def create_optuna_study(folder: StudyFolder, study: Study) -> optuna.Study:
    """Opens a study's storage for writing, making it where there is none. The study's lock must be held."""
    import optuna

    _refuse_lost(folder)
    _drop_torn_line(folder.journal)
    storage = _storage(folder)
    there = storage.get_all_studies()  # one, under the name that the folder had when it was made
    name = there[0].study_name if there else study.name
    return optuna.create_study(storage=storage, study_name=name, direction=study.direction, load_if_exists=True)


def in_one_write(trial: optuna.Trial) -> contextlib.AbstractContextManager[list[dict[str, Any]]]:
    """What is set on the trial within is on disk, and can be read back, behind it: one wait for the disk, not many.

    Yields what is to be written; emptied, nothing of it happened.
    """
    assert isinstance(trial.storage, _Storage)
    return trial.storage.in_one_write()


def take_back(trial: optuna.Trial, entries: list[dict[str, Any]]) -> None:
    """Makes what was set on a trial within `in_one_write` not have happened; it had nothing before."""
    entries.clear()
    frozen = trial.storage.get_trial(trial._trial_id)
    for kept in (frozen.params, frozen.distributions):  # Optuna 5: the trial writes into what the storage has lent it
        kept.clear()


def read_trials(folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study, by number; also while another process writes."""
    _refuse_lost(folder)
    if not folder.journal.exists():
        return []
    storage = _storage(folder)
    studies = storage.get_all_studies()
    return storage.get_all_trials(studies[0]._study_id, deepcopy=False) if studies else []


def _refuse_lost(folder: StudyFolder) -> None:
    """Raises StudyFolderError where the journal is gone and trials are there: they would be begun anew."""
    try:
        there = (
            b"\n" in folder.journal.read_bytes()
        )  # a line without its end may be cut off; one at least must be whole
    except FileNotFoundError:
        there = False
    except OSError:
        there = True  # whoever reads it says what is wrong
    trials = folder.trial(0).root.parent
    if not there and trials.is_dir() and any(trials.iterdir()):
        what = "holds no entry" if folder.journal.exists() else "is missing"
        raise StudyFolderError(
            f"{folder.journal}: {what}, but {trials} holds trials; "
            "put a copy in its place, or set the study aside with --fresh"
        )


def _storage(folder: StudyFolder) -> JournalStorage:
    backend = _Backend(str(folder.journal), lock_obj=_LockedAlready(str(folder.journal)))
    try:
        with patch.multiple(_journal, json_to_distribution=_parsed_once, copy=_without_copies):
            return _Storage(backend)
    except OSError as error:
        raise StudyFolderError(
            f"{folder.journal}: cannot be read ({error.strerror}); put a copy in its place"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StudyFolderError(
            f"{folder.journal}: {_damage(folder.journal)}; put a copy in its place, or set the study aside with --fresh"
        ) from error


def _damage(journal: Path) -> str:
    for number, line in enumerate(journal.read_bytes().splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            return f"line {number} is damaged"
    return "its entries do not fit together"


def _drop_torn_line(journal: Path) -> None:
    """Cuts off a last line that a kill left without its end; the next entry would otherwise be glued to it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)
