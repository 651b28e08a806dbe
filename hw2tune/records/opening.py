"""Opening a study's folder for a run: one process at a time, and only for the study that it holds."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import filelock
import psutil

from hw2tune.errors import StudyFolderError
from hw2tune.records.folder import StudyFolder, write_atomically
from hw2tune.study.file import differences, dump_study, parse_study
from hw2tune.study.schema import Study


@contextlib.contextmanager
def opened(results: Path, study: Study, *, fresh: bool = False) -> Iterator[StudyFolder]:
    """The folder of `study`, held by this process for the length of a `with`.

    `fresh` sets a folder that is there aside under a dated name. Raises StudyFolderError where another process runs
    the study, or where the folder holds a different one.
    """
    folder = StudyFolder(results / study.name)
    with held(folder):
        if fresh and folder.study_file.exists():
            _set_aside(folder)
        refuse_another_study(folder, study)
        write_atomically(folder.study_file, dump_study(study))
        yield folder


def holder(folder: StudyFolder) -> str | None:
    """Who runs the study now, in words; None where nobody does. A dead process's note counts for nothing."""
    try:
        return living(_note(folder).read_text(encoding="utf-8"))
    except OSError:
        return None


def living(text: str) -> str | None:
    """Who wrote a note, in words; None where that process is of this machine and dead."""
    try:
        note = json.loads(text)
        if note["host"] == socket.gethostname() and psutil.Process(note["pid"]).create_time() != note["started"]:
            return None
    except (ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return f"process {note['pid']} on {note['host']}, since {note['since']}"


@contextlib.contextmanager
def held(folder: StudyFolder) -> Iterator[None]:
    """Keeps other processes off the folder for the length of a `with`. Raises StudyFolderError."""
    _make(folder.root)
    # The operating system's lock ends with its process, however that dies; the note beside it is for readers.
    lock = filelock.FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise in_use(folder.root, holder(folder) or "another process") from None
    try:
        write_atomically(_note(folder), new_note())
        yield
    finally:
        _note(folder).unlink(missing_ok=True)
        lock.release()


def in_use(place: Path | str, by: str) -> StudyFolderError:
    """The refusal where `by` runs the study at `place`."""
    return StudyFolderError(f"{place}: {by} runs this study; wait for it, end it, or take another --name")


def _note(folder: StudyFolder) -> Path:
    return folder.lock.with_name("running.json")


def new_note() -> str:
    """What this process leaves for others to read while it runs a study."""
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    return json.dumps(note)


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyFolderError(f"{root}: cannot be made ({error.strerror}); take another --results-dir") from None


def _set_aside(folder: StudyFolder) -> None:
    """Moves what is there to `set-aside/<name>.<date>` in the results; lock, note and mirror stay with the living."""
    stamp = datetime.fromtimestamp(folder.study_file.stat().st_mtime).strftime("%Y-%m-%d-%H%M%S")
    aside = folder.root.parent / "set-aside" / f"{folder.name}.{stamp}"
    _make(aside)
    for path in folder.root.iterdir():
        if path not in (folder.lock, _note(folder), folder.mirror):
            path.rename(aside / path.name)


def refuse_another_study(folder: StudyFolder, study: Study) -> None:
    """Raises StudyFolderError where the folder is in use or holds another study, naming what differs."""
    note = holder(folder)
    if note is not None and f"process {os.getpid()} " not in note:
        raise in_use(folder.root, note)
    if not folder.study_file.exists() or not folder.journal.exists():  # nothing has run under this name
        return
    there = parse_study(folder.study_file.read_text(encoding="utf-8"), str(folder.study_file))
    changed = differences(there, study)
    if changed:
        raise StudyFolderError(
            f"{folder.root}: holds a different study ({'; '.join(changed)}); "
            "go back to what it was, take another --name, or set it aside with --fresh"
        )
