"""The runs of one study behind a URL, and the files that each left. The protocol: docs/interruptions.md.

    <study>/runs/<generation>-<id>.json         Run: rewritten every few seconds while the run lives
    <study>/runs/<generation>-<id>/files.json   Manifest: written last in a push
    <study>/runs/<generation>-<id>/<path>       files by their path in a results folder

A run writes and deletes below its own name only. Earlier versions had no runs and kept `<study>/<path>`: such files are
read as the generation before the first.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import Record, dump_record, files_below, parse_record, write_atomically
from hw2tune.records.layout import KEPT_FILES
from hw2tune.records.lock import STALE_SECONDS, Owner
from hw2tune.records.remote.store import PART, FileVersion, Store

READS = 3  # of a record that cannot be parsed
RUN = re.compile(r"(\d{6}-[0-9a-f]{8})\.json")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the study; it went on from push `parent_push` of the run `parent`, and began push `push`."""

    id: str = ""
    owner: Owner | None = None
    parent: str = ""
    parent_push: int = 0
    push: int = 0
    listed: bool = False  # a push of this run has counted
    ended: bool = False  # it writes nothing any more

    @property
    def is_over(self) -> bool:
        """Return whether this run is known to write nothing any more."""
        return self.ended or (self.owner is not None and self.owner.is_gone)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The files of the study after a push; in a working copy, those that it last agreed on with the store."""

    by: str = ""  # the run that pushed
    push: int = 0
    files: dict[str, FileVersion] = field(default_factory=dict)  # by path in a results folder
    at: dict[str, str] = field(default_factory=dict)  # the run that holds each file; `by`, or one that is over
    fetching: bool = False  # the working copy is of two pushes


@dataclass(frozen=True)
class RemoteStudy:
    """A study behind a URL, as any machine may read it."""

    store: Store
    name: str

    @property
    def place(self) -> str:
        """The study as messages name it."""
        return f"{self.store.url}/{self.name}"

    def claims(self) -> dict[str, float]:
        """The last sign of life of each run, by the store's clock; the latest generation comes last."""
        there = self.store.entries(f"{self.name}/runs").items()
        return dict(sorted((found[1], seconds) for name, seconds in there if (found := RUN.fullmatch(name))))

    def next_id(self) -> str:
        """A name of our own in the generation after the last one."""
        return f"{max(map(generation, self.claims()), default=0) + 1:06}-{uuid.uuid4().hex[:8]}"

    def run(self, run_id: str) -> Run:
        return self._record(f"{run_id}.json", Run) or Run(id=run_id)  # half-written at a kill

    def write_run(self, run: Run) -> None:
        """Renew the claim of our own run."""
        self.store.write(f"{self.name}/runs/{run.id}.json", dump_record(run).encode())

    def living(self) -> Run | None:
        """The run that holds the study now: the latest, unless it is over or silent."""
        claims = self.claims()
        if claims:
            run, renewed = self.run(list(claims)[-1]), list(claims.values())[-1]
        else:
            renewed = self.store.entries(self.name).get("running.json", 0.0)
            note = self.store.read(f"{self.name}/running.json") if renewed else None
            run = Run(owner=parse_record(note, Owner)) if note else Run(ended=True)
        silent = run.is_over or self.store.clock(f"{self.name}/runs") - renewed > STALE_SECONDS
        return None if silent else run

    def newest(self) -> Manifest | None:
        """The files of the latest generation that pushed; None without a study."""
        manifests = (self.manifest(run_id) for run_id in reversed(self.claims()))
        return next(filter(None, manifests), None) or self._without_runs()

    def manifest(self, run_id: str) -> Manifest | None:
        """The files of a run; None if it never pushed. Raises StudyFolderError for a damaged record."""
        found = self._record(f"{run_id}/files.json", Manifest)
        if found is None and self.run(run_id).listed:  # else a kill during its first push
            raise StudyFolderError(
                f"{self.place}/runs/{run_id}/files.json: missing or damaged; put a copy in its place, or remove "
                f"{self.place}/runs/{run_id}.json to continue from the run before"
            )
        return found

    def _record(self, path: str, kind: type[Record]) -> Record | None:
        """A record in `runs`, or None if it is missing or damaged.

        It is read again if it cannot be parsed: pyarrow asks for an object's size first, and its run may overwrite it
        before the content is sent.
        """
        for _ in range(READS):
            if (content := self.store.read(f"{self.name}/runs/{path}")) is None:
                return None
            if (record := parse_record(content, kind)) is not None:
                return record
        return None

    def _without_runs(self) -> Manifest | None:
        there = self.store.list_files(self.name).items()
        files = {key: version for key, version in there if not key.startswith(f"{self.name}/runs/")}
        if not files:
            return None
        last = parse_record(self.store.read(f"{self.name}/mirror.json") or "", Manifest) or Manifest()
        mirrored = {key: version for key, version in files.items() if is_mirrored(Path(key).relative_to(self.name))}
        return Manifest(by=last.by, push=last.push, files=mirrored)

    def key(self, path: str, run_id: str) -> str:
        """The place of a run's file in the store."""
        return f"{self.name}/runs/{run_id}/{path}" if RUN.fullmatch(f"{run_id}.json") else path

    def forks(self) -> list[Run]:
        """Runs that pushed after another one had gone on without that push: their results are not the study's."""
        runs = {run_id: self.run(run_id) for run_id in self.claims()}
        newest = self.newest()
        known, run_id = {newest.by: newest.push} if newest else {}, newest.by if newest else ""
        while run := runs.get(run_id):
            run_id = run.parent
            known[run_id] = run.parent_push
        late = [run for run in runs.values() if run.push > known.get(run.id, 0)]
        return [run for run in late if (left := self.manifest(run.id)) and left.push > known.get(run.id, 0)]

    def fetch(self, manifest: Manifest, here: Path, wanted: Callable[[str], bool] = lambda path: True) -> None:
        """Load the wanted files whose size or time differ here, those that know least first."""
        for path in sorted(filter(wanted, manifest.files), key=reading_order):
            file, version = inside(here, path, self.place), manifest.files[path]
            if file.is_file() and version_of(file) == version:
                continue
            content = self.store.read(self.key(path, manifest.at.get(path, manifest.by)))
            if content is not None:  # else its run has removed it meanwhile
                write_atomically(file, content, modified=version[1])

    def remove_others(self, manifest: Manifest, here: Path, wanted: Callable[[str], bool] = lambda path: True) -> None:
        """Remove wanted files of the study here that are not in the manifest."""
        for file in files_below(here / self.name):
            path, ours = file.relative_to(here).as_posix(), is_mirrored(file.relative_to(here / self.name))
            if ours and wanted(path) and path not in manifest.files and file.is_file():
                file.unlink(missing_ok=True)  # another reader does the same


def generation(run_id: str) -> int:
    """The number of runs that the study had, this one included; 0 before there were runs."""
    return int(run_id.partition("-")[0]) if "-" in run_id else 0


def is_mirrored(path: Path) -> bool:
    """Return whether a file of a study's folder is neither of its place nor half-written."""
    return path.name not in KEPT_FILES and not any(part.endswith(PART) for part in path.parts)


def inside(here: Path, path: str, place: str) -> Path:
    """A path below a folder. Raises StudyFolderError for one that would lead out of it."""
    if "\\" in path or {"", ".", ".."} & {*path.split("/")}:
        raise StudyFolderError(f"{place}: holds a file named `{path}`, which leads out of its folder; remove it there")
    return here / path


def reading_order(path: str) -> tuple[bool, str, bool]:
    """The journal, then folder by folder checkpoints before the lines that know them; written in the opposite order."""
    folder, _, name = path.rpartition("/")
    return not name.endswith(".journal"), folder, not is_of_network(name)


def is_of_network(path: str) -> bool:
    """Return whether a file of a study holds a trial's checkpoint or weights."""
    return path.endswith((".pt", "best.npz"))


def version_of(file: Path) -> FileVersion:
    """Size and time of a file here."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns
