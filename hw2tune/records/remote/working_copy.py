"""A run's working copy of a study behind a URL: claimed, fetched, pushed and let go of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from hw2tune.errors import LostStudyError, StudyFolderError
from hw2tune.records.atomic import dump_record, read_record, stamp, write_atomically
from hw2tune.records.layout import KEPT_FILES, StudyFolder
from hw2tune.records.leftovers import DATED
from hw2tune.records.lock import Say, in_use, this_process
from hw2tune.records.remote.runs import Manifest, RemoteStudy, Run, generation, is_of_network, reading_order
from hw2tune.records.remote.store import PART, FileVersion, Store

ATTEMPTS, APART_SECONDS = 8, 2.0  # of machines that start in the same moment
PART_BYTES = 4_000_000  # of a file, in memory at a time
SECOND = 1_000_000_000  # ns
COARSE = 2 * SECOND  # some file systems keep whole seconds of a time of modification, FAT even ones


class Mirror:
    """One run of a study behind a URL, and its working copy."""

    def __init__(self, store: Store, name: str, here: Path, say: Say = lambda text: None) -> None:
        self.study, self.here, self.say = RemoteStudy(store, name), here, say
        self.folder, self.journal = StudyFolder(here / name), f"{name}/optuna.journal"
        self.run = Run(owner=this_process())
        synced = read_record(self.folder.mirror, Manifest)
        self.is_lost = synced is None and (os.path.lexists(self.folder.mirror) or self.folder.journal.exists())
        self.synced = synced or Manifest()  # after `fetch`, all files `at` a run need not be pushed
        self.known = _known(b"")  # the journal in the store
        self.looked = time.time_ns()  # for what has changed, before the last push
        self.writing = threading.RLock()  # a claim is renewed while files are pushed

    def claim(self) -> None:
        """Begin a generation. Raises StudyFolderError if another process runs the study.

        Each of several that start in one moment writes its claim before it looks for others: at most one sees none.
        """
        for _ in range(ATTEMPTS):
            living = self.study.living()
            if living is not None and living.owner != this_process():
                raise in_use(self.study.place, living.owner)
            self.run = replace(self.run, id=self.study.next_id())
            self.study.write_run(self.run)
            if self._later() is None:
                return
            self._withdraw()
            time.sleep(random.uniform(0, APART_SECONDS))
        raise in_use(self.study.place, None)

    def renew(self) -> None:
        """Say that the run lives. Raises LostStudyError if another has taken it for dead and gone on."""
        with self.writing:
            if (later := self._later()) is not None:
                raise LostStudyError(
                    f"{self.study.place}: {self.study.run(later).owner or 'another process'} has taken this study "
                    f"over; the results of this run are kept in {self.study.place}/runs/{self.run.id}; run the same "
                    "command again to continue the newer ones"
                )
            self.study.write_run(self.run)

    def _later(self) -> str | None:
        ours = generation(self.run.id)
        return next((one for one in self.study.claims() if one != self.run.id and generation(one) >= ours), None)

    def release(self) -> None:
        """Say that this run writes nothing any more: later ones may rely on its files."""
        if self.run.push:
            with self.writing:
                self.run = replace(self.run, ended=True)
                self.study.write_run(self.run)
        else:
            self._withdraw()

    def _withdraw(self) -> None:
        self.study.store.delete(f"{self.study.name}/runs/{self.run.id}.json")

    def fetch(self) -> None:
        """Bring the working copy to the newest push, unless it continues that. Raises StudyFolderError."""
        for run in self.study.forks():
            self.say(
                f"{self.study.place}: {run.owner or 'a run'} pushed after it had been taken over; its results are kept "
                f"in {self.study.place}/runs/{run.id} and do not count"
            )
        newest = self.study.newest()
        if newest is None:  # the store is empty: everything here is to be pushed
            self.synced = Manifest()
        elif self.is_lost:
            self._set_aside(f"{self.folder.mirror}: damaged or lost")
            self._load(newest)
        elif self.synced.fetching or not _leads(self.synced, newest):
            self._refuse_changed(newest)
            self._load(newest)
        elif self._continues(newest):  # as after a kill; what a cleared cache lacks comes from the store
            self.study.fetch(newest, self.here, lambda path: not (self.here / path).exists())
            same = (self.synced.by, self.synced.push) == (newest.by, newest.push)
            self._agree(newest, self.synced.files if same else {})
        else:
            self._set_aside(f"{self.folder.journal}: does not continue the one in {self.study.place}")
            self._load(newest)

    def _load(self, newest: Manifest) -> None:
        self._write_synced(replace(newest, fetching=True))
        self.study.fetch(newest, self.here)
        self.study.remove_others(newest, self.here)
        self._agree(newest, self._versions())
        self._write_synced(self.synced)
        self._continues(newest)

    def _agree(self, newest: Manifest, files: dict[str, FileVersion]) -> None:
        """Continue this push. Files of a run that may yet write to them are pushed again, as ours."""
        settled = self.study.run(newest.by).is_over
        at = {path: run for path, run in newest.at.items() if path in files and (settled or run != newest.by)}
        self.synced = replace(newest, files=files, at=at)
        self.run = replace(self.run, parent=newest.by, parent_push=newest.push)

    def _continues(self, newest: Manifest) -> bool:
        """Return whether the journal here begins with the store's, or does not exist."""
        where = self.study.key(self.journal, newest.at.get(self.journal, newest.by))
        there = (self.study.store.read(where) if self.journal in newest.files else None) or b""
        self.known = _known(there)
        with self._opened(self.journal) as here:
            return here is None or here.read(len(there)) == there

    def _refuse_changed(self, newest: Manifest) -> None:
        synced = self.synced
        here = {} if synced.fetching else self._versions()
        if any(synced.files.get(path) != version for path, version in here.items()):
            raise StudyFolderError(
                f"{self.study.place}: has moved on to push {newest.push} of {newest.by}, and so has the working copy "
                f"{self.folder.root} since push {synced.push} of {synced.by}; move that folder away to continue from "
                "the URL, or use another --name"
            )

    def _set_aside(self, reason: str) -> None:
        """Nothing here is overwritten by the store, and nothing there by us."""
        if self.folder.root.exists():
            aside = self.here / "set-aside" / f"{self.study.name}.{uuid.uuid4().hex[:8]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            self.folder.root.rename(aside)
            self.say(f"{reason}, so the URL counts; the working copy of before is now {aside}")

    def push(self) -> None:
        """Write what changed here since the last push. Raises LostStudyError for a working copy that was cleared."""
        looked = time.time_ns()
        with self._opened(self.journal) as journal:  # what knows least is opened first and written last
            before = os.fstat(journal.fileno()) if journal else None
            versions = self._versions()
            if before is not None:
                versions[self.journal] = before.st_size, before.st_mtime_ns
            after = stamp(self.folder.journal)
            if (after and after[0]) == (before and before.st_ino):
                self._push(versions, journal)
                self.looked = looked
                return
        self.push()  # --fresh has set it aside meanwhile: files of two studies

    def _push(self, versions: dict[str, FileVersion], journal: BinaryIO | None) -> None:
        self._begin_anew(versions)
        known = self._refuse_cleared(journal, versions.get(self.journal, (0, 0))[0])
        pushed = {path: version for path, version in self.synced.files.items() if path in self.synced.at}
        changed = [path for path, version in versions.items() if pushed.get(path) != version or self._may_hide(version)]
        removed = self._removed(versions)
        if not (changed or removed):
            return
        at = dict(self.synced.at)
        for path, parts in self._contents(changed, journal, known[0]):
            self.study.store.write(self.study.key(path, self.run.id), parts)
            pushed[path], at[path] = versions[path], self.run.id
        files = {path: version for path, version in pushed.items() if path not in removed}
        with self.writing:
            self.run = replace(self.run, push=self.run.push + 1, listed=self.synced.by == self.run.id)
            self.study.write_run(self.run)
        manifest = Manifest(by=self.run.id, push=self.run.push, files=files, at={path: at[path] for path in files})
        content = self._write_synced(manifest)  # at a kill here the working copy leads
        self.study.store.write(self.study.key("files.json", self.run.id), content.encode())  # it counts
        self.synced, self.known = manifest, known
        for path in removed:
            if at[path] == self.run.id:
                self.study.store.delete(self.study.key(path, self.run.id))

    def _may_hide(self, version: FileVersion) -> bool:
        """Return whether a file may have been replaced in the second in which we looked, with the same version."""
        return version[1] % SECOND == 0 and version[1] > self.looked - COARSE

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO | None]:
        """A file of the working copy, if it is there; opened it stays as it was when another takes its name."""
        try:
            file = (self.here / path).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            yield file

    def _contents(
        self, paths: Iterable[str], journal: BinaryIO | None, length: int
    ) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The files in the order of writing, a part in memory at a time.

        Checkpoints are written after the lines that know them, and opened before these are read.
        """
        rest = sorted((path for path in paths if path != self.journal), key=reading_order)
        for _, group in groupby(rest, key=os.path.dirname):
            with contextlib.ExitStack() as stack:
                checkpoints = []
                for path in group:
                    if is_of_network(path):
                        checkpoints.append((path, stack.enter_context(self._opened(path))))
                        continue
                    with self._opened(path) as file:
                        if file:
                            yield path, _parts(file)
                yield from ((path, _parts(file)) for path, file in checkpoints if file)
        if journal and self.journal in paths:
            journal.seek(0)
            yield self.journal, _parts(journal, length)

    def _begin_anew(self, versions: dict[str, FileVersion]) -> None:
        """Begin a generation of its own for the new study, if --fresh has set the old one aside."""
        before = self.synced.files.get(self.journal)
        new = [path for path in versions if path.startswith("set-aside/") and path not in self.synced.files]
        if before is None or not any(versions[path] == before and path.endswith(".journal") for path in new):
            return
        if self.run.push:
            with self.writing:  # between two generations the run has no claim to renew
                self.release()
                self.run = Run(owner=self.run.owner, parent=self.run.id, parent_push=self.run.push)
                self.claim()
        at = {path: run for path, run in self.synced.at.items() if not path.startswith(f"{self.study.name}/")}
        self.synced = replace(self.synced, at=at)
        self.known = _known(b"")

    def _refuse_cleared(self, journal: BinaryIO | None, length: int) -> tuple[int, str]:
        """Length and digest of the journal. Raises LostStudyError if it does not continue the pushed one."""
        before, known = self.known
        digest = hashlib.sha256()
        for part in _parts(journal, before) if journal else ():
            digest.update(part)
        if digest.hexdigest() != known:
            raise LostStudyError(
                f"{self.folder.journal}: was removed or replaced while the study ran; {self.study.place} keeps what "
                "was pushed before; run the same command again"
            )
        for part in _parts(journal, length - before) if journal else ():
            digest.update(part)
        return length, digest.hexdigest()

    def _removed(self, versions: dict[str, FileVersion]) -> list[str]:
        """Pushed files that this run has removed: others beside them are its own. A cleared cache removes nothing."""
        gone = [path for path in self.synced.at if path not in versions]
        alive = {self._area(path) for path in versions if self.synced.at.get(path) == self.run.id} if gone else set()
        return [path for path in gone if self._area(path) in alive - {""}]

    def _area(self, path: str) -> str:
        """The folder of one trial, report or logger, from which a run removes files; else nothing."""
        found = re.match(rf"{re.escape(self.study.name)}/(trials/\d+|report|logs)/|report-[^/]*/", path)
        return found[0] if found else ""

    def _versions(self) -> dict[str, FileVersion]:
        """The files of the study, of those set aside with --fresh, and of reports on several studies."""
        dated = {path: DATED.fullmatch(path.name) for path in self.here.glob("set-aside/*")}
        aside = [path for path, found in dated.items() if found and found["name"] == self.study.name]
        versions = dict[str, FileVersion]()
        for root in (self.folder.root, *aside, *self._shared_reports()):
            versions |= _versions_below(root, root.relative_to(self.here).as_posix())
        return versions

    def _shared_reports(self) -> list[Path]:
        """Reports on this study and others, by what their summary says."""
        found = []
        for path in self.here.glob("report-*/summary.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                studies = json.loads(path.read_text(encoding="utf-8"))["studies"]
                if self.study.name in [study["name"] for study in studies]:
                    found.append(path.parent)
        return found

    def _write_synced(self, synced: Manifest) -> str:
        content = dump_record(synced)
        write_atomically(self.folder.mirror, content, durable=True)
        return content


def _parts(file: BinaryIO, length: int | None = None) -> Iterator[bytes]:
    """The file's next `length` bytes, or all up to its end."""
    while length is None or length > 0:
        if not (part := file.read(PART_BYTES if length is None else min(PART_BYTES, length))):
            return
        length = None if length is None else length - len(part)
        yield part


def _versions_below(root: Path, path: str) -> dict[str, FileVersion]:
    """The mirrored files below a folder, under `path`; what is replaced or removed meanwhile is omitted."""
    versions, folders = dict[str, FileVersion](), [(str(root), path)]
    while folders:
        folder, path = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(PART):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{path}/{entry.name}"))
                elif entry.name not in KEPT_FILES and entry.is_file():
                    try:
                        stat = entry.stat()
                    except OSError:
                        continue
                    versions[f"{path}/{entry.name}"] = stat.st_size, stat.st_mtime_ns
    return versions


def _leads(synced: Manifest, newest: Manifest) -> bool:
    """Return whether the working copy has all of the newest push: it is of that push, or the store was put back."""
    if synced.by == newest.by:
        return newest.push <= synced.push
    return generation(newest.by) < generation(synced.by)


def _known(journal: bytes) -> tuple[int, str]:
    """Length and digest, by which a longer journal is known to continue this one."""
    return len(journal), hashlib.sha256(journal).hexdigest()
