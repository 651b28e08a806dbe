"""A study's working copy of a store, and what both last synced on: see `remote.mirror`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import write_atomically
from hw2tune.records.damaged import read_record
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import dump_owner, in_use, parse_owner, this_process
from hw2tune.records.remote.store import FileVersion, Store

PUSH_SECONDS = 5.0  # between two pushes
STALE_SECONDS = 60.0  # a running.json older than this is of a dead run; clocks must agree better than that
SETTLE_SECONDS = 1.0  # two machines that start at once both see no note: the later one's stays
OWN = ("lock", "running.json", "mirror.json")  # files that are not mirrored

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SyncState:
    """What a working copy and its store last synced on."""

    copy: str  # this working copy's own name
    by: str = ""  # whose push the store held
    push: int = 0  # which one, counted from 1
    files: dict[str, FileVersion] | None = None  # here, at that time; None while they are being fetched


class Mirror:
    """One study's working copy and its place in the store."""

    def __init__(self, store: Store, name: str, here: Path, say: Say = lambda text: None) -> None:
        self.store, self.name, self.here, self.say = store, name, here, say
        self.folder = StudyFolder(here / name)
        self.place = f"{store.url}/{name}"
        self.note, self.renewed = dump_owner(this_process()), 0.0
        self.synced = _read_sync_state(self.folder)

    def claim(self) -> None:
        """Keeps other machines off. Raises StudyFolderError where another process runs the study."""
        owner = parse_owner(fresh_note(self.store, self.name, now=self.store.clock(f"{self.name}/.clock")) or "")
        if owner is not None and not owner.is_gone and owner != this_process():
            raise in_use(self.place, owner)
        self.store.write(f"{self.name}/running.json", self.note.encode())
        time.sleep(SETTLE_SECONDS)
        self.renew()

    def renew(self) -> None:
        """Says that the run lives. Raises StudyFolderError where another took it for dead and goes on in its place."""
        there = self.store.read(f"{self.name}/running.json")
        if there is not None and there != self.note.encode():
            raise in_use(self.place, parse_owner(there.decode(errors="replace")))
        self.store.write(f"{self.name}/running.json", self.note.encode())
        self.renewed = time.monotonic()

    def release(self) -> None:
        """Lets other machines in."""
        if self.store.read(f"{self.name}/running.json") == self.note.encode():
            self.store.delete(f"{self.name}/running.json")

    def fetch(self) -> None:
        """Brings the working copy to where the store is, unless it is ahead. Raises StudyFolderError."""
        (by, push), synced = self._pushed_last(), self.synced
        if synced is None:  # damaged: what is here may be ahead of the store, or behind
            synced = self.synced = self._begin_anew(nothing_there=push == 0)
        if synced.files is not None:
            if by in ("", synced.copy) and push < synced.push:  # the store was emptied or put back
                self.synced = replace(synced, files={})
                return
            if by == synced.copy or (by, push) == (synced.by, synced.push):
                return
            if self._versions() != synced.files:
                raise StudyFolderError(
                    f"{self.place}: has moved on to push {push}, and so has the working copy {self.folder.root} since "
                    f"push {synced.push}; move that folder away to go on from the URL, or take another --name"
                )
        self._write_sync_state(replace(synced, files=None))
        fetch(self.store, self.name, self.here, lambda key: True, alive=self._stay_alive)
        self._write_sync_state(replace(synced, by=by, push=push, files=self._versions()))

    def _pushed_last(self) -> tuple[str, int]:
        """Who pushed last, and which push it was, by the store's own record. Raises StudyFolderError."""
        content = self.store.read(f"{self.name}/mirror.json")
        if not content:
            return "", 0
        try:
            there = json.loads(content)
            return str(there["by"]), int(there["push"])
        except (ValueError, KeyError, TypeError):
            raise StudyFolderError(
                f"{self.place}/mirror.json: damaged; it says which copy is the newest. Remove it there to go on from "
                f"{self.folder.root}, or remove that folder as well to go on from the URL"
            ) from None

    def _begin_anew(self, *, nothing_there: bool) -> SyncState:
        """After the loss of our own record: nothing here is overwritten by the store, and nothing there by us."""
        synced = SyncState(copy=uuid.uuid4().hex, files={} if nothing_there else None)
        if not nothing_there:
            aside = self.here / "set-aside" / f"{self.name}.{uuid.uuid4().hex[:8]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            self.folder.root.rename(aside)
            self.say(f"{self.folder.mirror}: damaged or lost, so the URL counts; what was here is in {aside} now")
        return synced

    def push(self) -> None:
        """Writes what changed here since the last push. Raises StudyFolderError."""
        self.renew()
        assert self.synced is not None, "fetched before it is pushed"
        pushed = self.synced.files or {}
        taken: list[tuple[str, FileVersion, bytes | None]] = []
        for rank in (2, 1, 0):
            changed = {key: version for key, version in self._versions().items() if pushed.get(key) != version}
            for key, version in changed.items():
                if _rank(key) == rank:
                    taken.append((key, version, _content(self.here / key) if rank else None))
        gone = [key for key in pushed if key.startswith(f"{self.name}/") and not (self.here / key).exists()]
        if not self.folder.root.exists() or not (taken or gone):
            return
        done = {key: version for key, version in pushed.items() if key not in gone}
        for key, version, held in reversed(taken):
            self._stay_alive()
            content = held if _rank(key) else _content(self.here / key)
            if content is not None:  # else it vanished meanwhile
                self.store.write(key, content)
                done[key] = version
        for key in gone:
            self.store.delete(key)
        synced = replace(self.synced, by=self.synced.copy, push=self.synced.push + 1, files=done)
        self.store.write(f"{self.name}/mirror.json", json.dumps({"by": synced.by, "push": synced.push}).encode())
        self._write_sync_state(synced)

    def _stay_alive(self) -> None:
        if time.monotonic() - self.renewed > PUSH_SECONDS:
            self.renew()

    def _versions(self) -> dict[str, FileVersion]:
        """The files of the study, of those set aside with --fresh, and of reports on several studies."""
        versions = {}
        for root in (self.folder.root, *self._set_aside(), *self._shared_reports()):
            for path in root.rglob("*"):
                if path.name in OWN or any(part.endswith(".part") for part in path.relative_to(root).parts):
                    continue
                with contextlib.suppress(OSError):  # replaced or removed under our eyes
                    if path.is_file():
                        versions[path.relative_to(self.here).as_posix()] = _version(path)
        return versions

    def _set_aside(self) -> list[Path]:
        """Of this study: another's name may begin with this one's and a dot."""
        dated = re.compile(re.escape(self.name) + r"\.\d{4}-\d\d-\d\d-\d{6}(-\d+)?")
        return [path for path in self.here.glob("set-aside/*") if dated.fullmatch(path.name)]

    def _shared_reports(self) -> list[Path]:
        """Reports on this study and others, by what their summary says."""
        found = []
        for path in self.here.glob("report-*/summary.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if self.name in [study["name"] for study in json.loads(path.read_text(encoding="utf-8"))["studies"]]:
                    found.append(path.parent)
        return found

    def _write_sync_state(self, synced: SyncState) -> None:
        self.synced = synced
        write_atomically(self.folder.mirror, json.dumps(asdict(synced)), durable=True)


def fetch(
    store: Store, below: str, here: Path, wanted: Callable[[str], bool], alive: Callable[[], None] = lambda: None
) -> None:
    """Makes the files below a key the store's, loading those whose size or time differ, what knows least first."""
    files = store.list_files(below)
    there = {key: version for key, version in files.items() if wanted(key) and key.split("/")[-1] not in OWN}
    paths = {key: inside(here, key, store.url) for key in there}
    for key in sorted(there, key=_rank, reverse=True):
        alive()
        path = paths[key]
        if path.is_file() and _version(path) == there[key]:
            continue
        content = store.read(key)
        if content is not None:  # else it was removed meanwhile
            write_atomically(path, content)
            os.utime(path, ns=(there[key][1], there[key][1]))
    for path in (here / below).rglob("*"):
        key = path.relative_to(here).as_posix()
        if path.is_file() and wanted(key) and path.name not in OWN and key not in there:
            path.unlink()


def read_by_readers(key: str) -> bool:
    """Whether `status` and the report need a file."""
    return not key.endswith(".pt") and not {"report", "set-aside", "logs"} & {*key.split("/")}


def inside(here: Path, key: str, url: str) -> Path:
    """Where a key lies below a folder. Raises StudyFolderError for one that would lead out of it."""
    if "\\" in key or {"", ".", ".."} & {*key.split("/")}:
        raise StudyFolderError(f"{url}: holds a file named `{key}`, which leads out of its folder; remove it there")
    return here / key


def _rank(key: str) -> int:
    return {".pt": 1, ".journal": 2}.get(Path(key).suffix, 0)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _version(path: Path) -> FileVersion:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def fresh_note(store: Store, name: str, now: float | None = None) -> str | None:
    """The note of a run that may live; `now` is the store's time, by default ours."""
    modified = store.modified(f"{name}/running.json")
    if modified is None or (time.time() if now is None else now) - modified > STALE_SECONDS:
        return None
    return (store.read(f"{name}/running.json") or b"").decode(errors="replace")


def _read_sync_state(folder: StudyFolder) -> SyncState | None:
    """What both synced on; None where the record is damaged, or lost beside a study."""
    if not os.path.lexists(folder.mirror) and not folder.journal.exists():
        return SyncState(copy=uuid.uuid4().hex)
    return read_record(folder.mirror, SyncState)
