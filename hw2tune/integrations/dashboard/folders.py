"""The studies that a dashboard shows: those that can be read, as they come and go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hw2tune.errors import Hw2tuneError, StoreError, StudyFolderError
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.overview import read_overview
from hw2tune.records.remote.mirror import PUSH_SECONDS, reading, reading_study
from hw2tune.records.remote.store import is_url, shown

Stamp = tuple[tuple[int, int, int] | None, ...]


class ShownFolders:
    """The folders of studies `names` in `results`, of all where none is named.

    `faults` says of each study that cannot be read why not; it is looked at again when its files change.
    """

    def __init__(self, results: str | Path, names: Sequence[str] = ()) -> None:
        self.results, self.names = results, list(names)
        self.faults: dict[str, str] = {}
        self._sound: dict[Path, Stamp] = {}  # with the stamp of the study file as it was read
        self._refused: dict[str, Stamp] = {}
        self._fetched, self._here = float("-inf"), Path()

    def __call__(self) -> list[StudyFolder]:
        """Those that are there now and can be read."""
        there = study_folders(self._reading())
        wanted = [folder for folder in there if not self.names or folder.name in self.names]
        self._sound = {folder.root: self._sound[folder.root] for folder in wanted if folder.root in self._sound}
        return [folder for folder in wanted if self._is_sound(folder)]

    def refuse_none(self) -> None:
        """Raises StudyFolderError where a named study is not there, or none can be shown."""
        for name in self.names:
            reading_study(self.results, name)
        if self():
            return
        if self.faults:
            raise StudyFolderError("\n".join(self.faults.values()))
        raise StudyFolderError(f"no studies in {shown(self.results)} yet; `hw2tune study quickstart` makes one")

    def _reading(self) -> Path:
        """The results; those behind a URL are fetched as often as they are pushed."""
        if not is_url(self.results):
            return Path(self.results)
        if time.monotonic() - self._fetched > PUSH_SECONDS:
            try:
                self._here = reading(self.results, *self.names)
            except StoreError:
                if self._fetched == float("-inf"):
                    raise
            self._fetched = time.monotonic()  # behind the work: a slow store is not asked all the time
        return self._here

    def _is_sound(self, folder: StudyFolder) -> bool:
        study_file = _stamp((folder.study_file,))
        if self._sound.get(folder.root) == study_file:
            return True
        self._sound.pop(folder.root, None)
        stamp = _stamp((folder.study_file, folder.journal))
        if self._refused.get(folder.name) == stamp:
            return False
        try:
            read_overview(folder)
        except Hw2tuneError as error:
            self.faults[folder.name], self._refused[folder.name] = str(error), stamp
            return False
        self.faults.pop(folder.name, None)
        self._sound[folder.root] = study_file
        return True


def _stamp(paths: Iterable[Path]) -> Stamp:
    return tuple(_identity(path) for path in paths)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
