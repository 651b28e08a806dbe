"""`hw2tune clean`: files that nothing needs, in studies and on this machine, and their removal under a study's lock."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hw2tune.data.decoding import cached_files
from hw2tune.errors import Hw2tuneError, StudyFolderError
from hw2tune.execution.scratch import find_abandoned, remove_if_abandoned
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.leftovers import (
    DECODED,
    KINDS,
    ON_DEMAND,
    SCRATCH,
    SET_ASIDE,
    Leftover,
    in_study,
    leftover,
    set_aside,
    size_of,
)
from hw2tune.records.lock import locked, owner_of
from hw2tune.records.opening import refuse_in_use
from hw2tune.records.overview import find_folder
from hw2tune.records.remote.store import is_url, shown


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Files that can go, or have gone, and notes on those left alone."""

    results: Path
    found: tuple[Leftover, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(one.size for one in self.found)


def find(results: str | Path, names: Sequence[str] = (), kinds: Collection[str] = ()) -> Leftovers:
    """Find what can go of the named studies; without names of all, and of the machine. Changes nothing.

    Raises StudyFolderError for an unknown study or kind, and for results behind a URL.
    """
    if is_url(results):
        raise StudyFolderError(
            f"{shown(results)}: files behind a URL are not cleaned; name a folder, or remove trials/*/last.pt and "
            "trials/*/previous.pt there"
        )
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise StudyFolderError(f"--only {unknown[0]}: there are {', '.join(KINDS)}")
    place, found, notes = Path(results), list[Leftover](), list[str]()
    aside = [one.study for one in set_aside(place)]
    for name in names:
        if name not in aside:
            find_folder(place, name)
    for name in dict.fromkeys(names or [*(folder.name for folder in study_folders(place)), *aside, ""]):
        owner = owner_of(StudyFolder.named(place, name)) if name else None
        if owner is None:
            found += _leftovers(place, name, notes)
        else:
            notes.append(f"{name}: {owner} runs it; left alone")
    wanted = kinds or [kind for kind in KINDS if kind not in ON_DEMAND]
    chosen = tuple(one for one in found if one.kind in wanted)
    return Leftovers(results=place, found=chosen, notes=tuple(notes))


def _leftovers(results: Path, study: str, notes: list[str]) -> list[Leftover]:
    """Find what can go of a study, or without a name of the machine."""
    if not study:
        return [*leftover(DECODED, "", cached_files()), *leftover(SCRATCH, "", find_abandoned())]
    folder, aside = StudyFolder.named(results, study), set_aside(results, study)
    try:
        return [*(in_study(folder) if folder.study_file.exists() else []), *aside]
    except Hw2tuneError as error:
        notes.append(f"{study}: left alone: {error}")
        return aside


def remove(leftovers: Leftovers) -> Leftovers:
    """Remove what was found and still can go; return what has gone. A study that runs meanwhile is left alone."""
    gone, notes = list[Leftover](), list[str]()
    for study in dict.fromkeys(one.study for one in leftovers.found):
        folder = StudyFolder.named(leftovers.results, study)
        try:
            with _held(folder) if study and folder.root.is_dir() else contextlib.nullcontext():
                # Under the lock: a run may have begun and ended since it was shown.
                still = {path for one in _leftovers(leftovers.results, study, notes) for path in one.paths}
                for one in leftovers.found:
                    if one.study == study:
                        gone += _removed(one, [path for path in one.paths if path in still], notes)
        except Hw2tuneError as error:
            notes.append(str(error))
    return replace(leftovers, found=tuple(gone), notes=tuple(notes))


@contextlib.contextmanager
def _held(folder: StudyFolder) -> Iterator[None]:
    """Keep runs off a study while something of it is removed. Raises StudyFolderError where one is under way."""
    refuse_in_use(folder)
    with locked(folder):
        yield


def _removed(one: Leftover, paths: Sequence[Path], notes: list[str]) -> Iterator[Leftover]:
    done, size = list[Path](), 0
    for path in paths:
        bytes_there = size_of(path)
        try:
            if one.kind == SCRATCH:
                remove_if_abandoned(path)
            else:
                with _held(StudyFolder(path)) if one.kind == SET_ASIDE else contextlib.nullcontext():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        except OSError as error:
            notes.append(f"{path}: cannot be removed ({error.strerror})")
        except Hw2tuneError as error:
            notes.append(str(error))
        else:
            if one.kind == SCRATCH and path.exists():
                notes.append(f"{path}: could not be removed whole; a command uses it, or a file in it")
                continue
            done.append(path)
            size += bytes_there
    if done:
        yield replace(one, paths=tuple(done), size=size)
