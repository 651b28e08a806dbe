"""Studies in a store that can neither append nor lock: a working copy here, whose changed files are pushed there.

    <cache>/mirrors/<digest of the URL>/work/     the working copies of this machine's runs
    <cache>/mirrors/<digest of the URL>/reading/  what `status` and the like fetched, without checkpoints

The order of a push makes each moment of the store one that a kill could have left on a disk: lines know more than
checkpoints, and these more than the journal.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hw2tune.errors import Hw2tuneError, LostStudyError, StoreError
from hw2tune.paths import cache_dir
from hw2tune.records.atomic import dump_record, write_atomically
from hw2tune.records.layout import MIRRORS, StudyFolder
from hw2tune.records.lock import Owner, Say, owner_of
from hw2tune.records.overview import find_folder
from hw2tune.records.remote.runs import RemoteStudy, is_of_network
from hw2tune.records.remote.store import Store, is_url, open_store
from hw2tune.records.remote.working_copy import Mirror
from hw2tune.text.plain import without_secrets

PUSH_SECONDS = 5.0  # between two pushes, and two signs of life


def reading(results: str | Path, *names: str) -> Path:
    """A results folder to read: a path as it is; of a URL a copy of named or all studies, without checkpoints."""
    if not is_url(results):
        return Path(results)
    store, here = _store(results, "reading")
    there = store.entries()
    for name in {*names} & {*there} if names else there:
        _read(RemoteStudy(store, name), here)
    for path in here.glob("*"):
        if path.name not in there:
            shutil.rmtree(path, ignore_errors=True)
    return here


def _read(study: RemoteStudy, here: Path) -> None:
    if (newest := study.newest()) is None:
        return
    study.fetch(newest, here, _is_for_readers)
    study.remove_others(newest, here, _is_for_readers)
    living, note = study.living(), StudyFolder(here / study.name).owner
    if living is not None and living.owner is not None:
        write_atomically(note, dump_record(living.owner))
    else:
        note.unlink(missing_ok=True)


def _is_for_readers(path: str) -> bool:
    return not is_of_network(path) and not {"report", "set-aside", "logs"} & {*path.split("/")}


def reading_study(results: str | Path, name: str) -> StudyFolder:
    """The folder of study `name` to read. Raises StudyFolderError, naming the existing ones."""
    here = reading(results, name)
    if is_url(results) and not StudyFolder(here / name).study_file.exists():
        here = reading(results)
    return find_folder(here, name)


def reading_checkpoints(results: str | Path, name: str, trial: int) -> Path:
    """A results folder as `reading` gave it; of a URL with weights and checkpoints of one trial of study `name` too."""
    if not is_url(results):
        return Path(results)
    store, here = _store(results, "reading")
    study = RemoteStudy(store, name)
    if (newest := study.newest()) is not None:
        study.fetch(newest, here, lambda path: path.startswith(f"{name}/trials/{trial}/") and is_of_network(path))
    return here


def owner_at(results: str | Path, name: str) -> Owner | None:
    """The process that runs study `name` now, in a results folder or behind a URL, or None."""
    if not is_url(results):
        return owner_of(StudyFolder.named(Path(results), name))
    living = RemoteStudy(open_store(str(results)), name).living()
    return living.owner if living else None


def _store(results: str | Path, use: str) -> tuple[Store, Path]:
    """The store behind a URL, and the folder of its copies here: one a URL, which keys that change leave the same."""
    digest = hashlib.sha256(without_secrets(str(results)).encode()).hexdigest()[:16]
    return open_store(str(results)), cache_dir() / MIRRORS / digest / use


@contextlib.contextmanager
def mirrored(results: str | Path, names: Sequence[str], say: Say) -> Iterator[Path]:
    """A results folder in which studies `names` can be run: a path as it is, of a URL the working copies.

    These are pushed while the `with` lasts and once more at its end. Raises StoreError if the store cannot be
    reached at either, and StudyFolderError where another process runs a study or both sides have moved on.
    """
    if not is_url(results):
        yield Path(results)
        return
    store, here = _store(results, "work")
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(_pushed(Mirror(store, name, here, say), say))
        say(f"{store.url}: pushed there every {PUSH_SECONDS:g} s; the working copy is {here}")
        yield here


@contextlib.contextmanager
def _pushed(mirror: Mirror, say: Say) -> Iterator[None]:
    kept, told, whole = f"kept in {mirror.folder.root}", threading.Event(), False

    def tell(fault: Exception) -> None:
        if not told.is_set():
            say(f"{fault}; results are {kept}, pushing is tried again")
        told.set()

    mirror.claim()
    beat, pushing = _Repeated(mirror.renew, tell), _Repeated(mirror.push, tell)
    try:
        beat.start()
        mirror.fetch()
        pushing.start()
        yield
        whole = True
    finally:
        pushing.end()
        beat.end()  # after the last push: one that came too late is told
        with contextlib.suppress(StoreError):
            mirror.release()
        fault = beat.fault if isinstance(beat.fault, LostStudyError) else pushing.fault
        if isinstance(fault, Hw2tuneError | OSError) and not isinstance(fault, LostStudyError):
            fault = StoreError(f"{fault}; everything is {kept}, and the same command continues")
        if fault is not None and whole:
            raise fault
        if fault is not None:
            say(str(fault))  # beside what ended the run


class _Repeated(threading.Thread):
    """Pushes, or signs of life; if the study is lost, this thread ends the run as Ctrl-C would."""

    def __init__(self, work: Callable[[], None], tell: Callable[[Exception], None]) -> None:
        super().__init__(daemon=True)
        self.work, self.tell, self.ended = work, tell, threading.Event()
        self.fault: Exception | None = None  # of the last time

    def run(self) -> None:
        while True:
            ended = self.ended.wait(PUSH_SECONDS)
            try:
                self.work()
                self.fault = None
            except Exception as error:  # whatever it is: a thread that ended would leave a living run without its claim
                self.fault = error
            if isinstance(self.fault, LostStudyError) and not ended:
                os.kill(os.getpid(), signal.SIGTERM)
            if isinstance(self.fault, LostStudyError) or ended:
                return
            if self.fault is not None:
                self.tell(self.fault)

    def end(self) -> None:
        """Return when the work is done for the last time, here, where no second Ctrl-C cuts a file short."""
        self.ended.set()
        if self.ident is not None:
            self.join()
