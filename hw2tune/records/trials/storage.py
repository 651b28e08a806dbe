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
    """Optuna's file, which can take several entries in one write and one fsync, and be read once for all."""

    _pending: list[dict[str, Any]] | None = None
    read_once = False

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if not (self.read_once and log_number_from):
            yield from super().read_logs(log_number_from)

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
    """Optuna's journal with the backend's way to write several entries at once."""

    def __init__(self, backend: _Backend) -> None:
        super().__init__(backend)
        self.in_one_write = backend.in_one_write


def create_optuna_study(folder: StudyFolder, study: Study) -> optuna.Study:
    """Open a study's storage for writing, making it where there is none. The study's lock must be held."""
    import optuna

    _refuse_lost(folder)
    _drop_torn_line(folder.journal)
    storage = _storage(folder)
    there = storage.get_all_studies()  # one, under the name that the folder had when it was made
    name = there[0].study_name if there else study.name
    return optuna.create_study(storage=storage, study_name=name, direction=study.direction, load_if_exists=True)


def in_one_write(trial: optuna.Trial) -> contextlib.AbstractContextManager[None]:
    """Write together all that is set on the trial within: it is on disk, and can be read back, after one wait."""
    assert isinstance(trial.storage, _Storage)
    return trial.storage.in_one_write()


def read_trials(folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study, by number; also while another process writes."""
    _refuse_lost(folder)
    if not folder.journal.exists():
        return []
    storage = _storage(folder, read_once=True)
    studies = storage.get_all_studies()
    return storage.get_all_trials(studies[0]._study_id, deepcopy=False) if studies else []


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


def _storage(folder: StudyFolder, *, read_once: bool = False) -> JournalStorage:
    backend = _Backend(str(folder.journal), lock_obj=_LockedAlready(str(folder.journal)))
    backend.read_once = read_once
    try:
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
    """Cut off a last line that a kill left without its end; the next entry would otherwise be glued to it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)
