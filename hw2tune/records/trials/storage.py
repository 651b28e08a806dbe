"""Optuna's storage of a study: the one truth about its trials."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import refuse_taken_over
from hw2tune.study.schema import Study

if TYPE_CHECKING:
    import optuna


class _LockedAlready(JournalFileOpenLock):
    """No lock of Optuna's: one process writes, under the study's own lock, which dies with it. Optuna's would not."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class _Backend(JournalFileBackend):
    """Optuna's file, which can take several entries in one write and one fsync, and be looked at again on demand."""

    _pending: list[dict[str, Any]] | None = None
    _last: dict[str, Any] | None = None  # entry that was read
    is_read = True  # for entries that were added

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if not self.is_read:
            return
        offsets, kept = self._log_number_offset, (0, log_number_from - 1, log_number_from)
        self._log_number_offset = {number: offsets[number] for number in kept if number in offsets}  # Optuna keeps all
        for self._last in super().read_logs(log_number_from):
            yield self._last

    def goes_on(self) -> bool:
        """Return whether the last entry read is still where it was: the file is the same, or entries were added."""
        end = max(self._log_number_offset)
        start, stop = (self._log_number_offset.get(number, 0) for number in (end - 1, end))
        try:
            with Path(self._file_path).open("rb") as file:
                file.seek(start)
                return bool(stop) and json.loads(file.read(stop - start)) == self._last
        except (OSError, ValueError):
            return False

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        refuse_taken_over(StudyFolder(Path(self._file_path).parent))
        if self._pending is None:
            super().append_logs(logs)
        else:
            self._pending += logs

    @contextlib.contextmanager
    def in_one_write(self) -> Iterator[None]:
        self._pending = []
        try:
            yield
        finally:
            pending, self._pending = self._pending, None
            if pending:
                super().append_logs(pending)


class _Storage(JournalStorage):
    """Optuna's journal in this file."""

    def __init__(self, backend: _Backend) -> None:
        super().__init__(backend)
        self.backend = backend


def create_optuna_study(folder: StudyFolder, study: Study) -> optuna.Study:
    """Open a study's storage for writing, making it where there is none. The study's lock must be held."""
    import optuna

    _refuse_lost(folder)
    _drop_torn_line(folder.journal)
    with _damage_named(folder.journal):
        storage = _Storage(_backend(folder))
    there = storage.get_all_studies()  # one, under the name that the folder had when it was made
    name = there[0].study_name if there else study.name
    return optuna.create_study(storage=storage, study_name=name, direction=study.direction, load_if_exists=True)


def in_one_write(trial: optuna.Trial) -> contextlib.AbstractContextManager[None]:
    """Write together all that is set on the trial within: it is on disk, and can be read back, after one wait."""
    assert isinstance(trial.storage, _Storage)
    return trial.storage.backend.in_one_write()


class TrialReader:
    """The trials of a study as they grow: of a journal that goes on, only the entries that were added are read."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._storage: _Storage | None = None

    def read(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials by number, also while another process writes. Raises StudyFolderError.

        A trial without a new entry is the same object as before.
        """
        _refuse_lost(self.folder)
        if not self.folder.journal.exists():
            return []
        storage, self._storage = self._storage, None  # an error leaves nothing half-read
        with _damage_named(self.folder.journal):
            if storage is not None and storage.backend.goes_on():
                storage.backend.is_read = True
                storage.get_all_studies()
            else:
                storage = _Storage(_backend(self.folder))
        storage.backend.is_read, self._storage = False, storage  # once for both questions below
        studies = storage.get_all_studies()
        return storage.get_all_trials(studies[0]._study_id, deepcopy=False) if studies else []


def read_trials(folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study, by number; also while another process writes."""
    return TrialReader(folder).read()


def _refuse_lost(folder: StudyFolder) -> None:
    """Raise StudyFolderError if the journal is gone and trials are there: they would be begun anew."""
    try:
        with folder.journal.open("rb") as journal:
            there = journal.readline().endswith(b"\n")  # the last line may be cut off; one at least must be whole
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


def _backend(folder: StudyFolder) -> _Backend:
    return _Backend(str(folder.journal), lock_obj=_LockedAlready(str(folder.journal)))


@contextlib.contextmanager
def _damage_named(journal: Path) -> Iterator[None]:
    """Around reading a journal: Optuna's errors become a StudyFolderError."""
    try:
        yield
    except OSError as error:
        raise StudyFolderError(f"{journal}: cannot be read ({error.strerror}); put a copy in its place") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StudyFolderError(
            f"{journal}: {_damage(journal)}; put a copy in its place, or set the study aside with --fresh"
        ) from error


def _damage(journal: Path) -> str:
    for number, line in enumerate(journal.read_bytes().splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            return f"line {number} is damaged"
    return "its entries do not fit together"


def _drop_torn_line(journal: Path) -> None:
    """Cut off a last line that a kill left without its end; the next entry would otherwise be glued to it."""
    if not journal.exists():
        return
    with journal.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
    os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)
