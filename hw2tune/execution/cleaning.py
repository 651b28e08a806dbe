"""What can go, in studies and on this machine, and the folder of one command for files that nobody keeps.

`hw2tune clean` removes the former under each study's lock. The latter holds Ray's sockets and logs, and Tune's state:

    <temporary folder>/hw2tune-XXXXXXXX/    nobody but the user may enter it
        lock     held by the command that made it; free once that one is dead
        r/       Ray's, which lets every user write into it (Ray 2.60, try_to_create_directory)
        ...

It is removed at the end. A command that was killed leaves its own, and the next one removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import psutil

from hw2tune.data.decoded_cache import cached_files
from hw2tune.errors import Hw2tuneError, ResourceError, StudyFolderError
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

PREFIX, RAYS = "hw2tune-", "r"
# A socket's path has 107 bytes at most (sun_path); Ray 2.60 puts "/session_2026-11-25_14-26-49_123456_4194304" and
# "/sockets/plasma_store" behind its folder.
LONGEST = 107 - 43 - 21
OF_A_STUDY = ("study.toml", "optuna.journal")  # one whose name begins so has a lock, too
FREE_BYTES = 50_000_000  # Ray's logs of a short command are 1 MB; under this it may not start at all
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # where TMPDIR does not do


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What can go, or has gone, and notes on what was left alone."""

    results: Path
    found: tuple[Leftover, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(one.size for one in self.found)


def find(results: str | Path, names: Sequence[str] = (), kinds: Collection[str] = ()) -> Leftovers:
    """What can go of the named studies; without names of all of them, and of this machine. Changes nothing.

    Raises StudyFolderError for an unknown study or kind, and for results behind a URL.
    """
    if is_url(results):
        raise StudyFolderError(
            f"{shown(results)}: files behind a URL are not cleaned; name a folder, or remove trials/*/last.pt there"
        )
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise StudyFolderError(f"--only {unknown[0]}: there are {', '.join(KINDS)}")
    place, notes = Path(results), list[str]()
    found = [one for name in _names(place, names) for one in _of_study(place, name, notes)]
    if not names:
        found += [*leftover(DECODED, "", cached_files()), *leftover(SCRATCH, "", find_abandoned())]
    wanted = kinds or [kind for kind in KINDS if kind not in ON_DEMAND]
    chosen = tuple(one for one in found if one.kind in wanted)
    return Leftovers(results=place, found=chosen, notes=tuple(notes))


def remove(leftovers: Leftovers) -> Leftovers:
    """Remove what was found and still can go; return what has gone. A study that runs meanwhile is left alone."""
    gone, notes = list[Leftover](), list[str]()
    for study in dict.fromkeys(one.study for one in leftovers.found):
        asked = [one for one in leftovers.found if one.study == study]
        try:
            with _held(leftovers.results, study):
                still = {path for one in _still(leftovers.results, study) for path in one.paths}
                for one in asked:
                    gone += _removed(one, [path for path in one.paths if path in still], notes)
        except Hw2tuneError as error:
            notes.append(str(error))
    return replace(leftovers, found=tuple(gone), notes=tuple(notes))


def _names(results: Path, names: Sequence[str]) -> list[str]:
    aside = [one.study for one in set_aside(results)]
    for name in names:
        if name not in aside:
            find_folder(results, name)
    return list(dict.fromkeys(names or [*(folder.name for folder in study_folders(results)), *aside]))


def _of_study(results: Path, name: str, notes: list[str]) -> list[Leftover]:
    folder = StudyFolder(results / name)
    if (owner := owner_of(folder)) is not None:
        notes.append(f"{name}: {owner} runs it; left alone")
        return []
    found = set_aside(results, name)
    if folder.study_file.exists():
        try:
            found = [*in_study(folder), *found]
        except Hw2tuneError as error:
            notes.append(f"{name}: left alone: {error}")
    return found


@contextlib.contextmanager
def _held(results: Path, study: str) -> Iterator[None]:
    """Keep runs off a study while something of it is removed. Raises StudyFolderError where one is under way."""
    folder = StudyFolder(results / study)
    if not study or not folder.root.is_dir():
        yield
        return
    refuse_in_use(folder)
    with locked(folder):
        yield


def _still(results: Path, study: str) -> list[Leftover]:
    """What can go now, under the lock: a run may have begun and ended since it was shown."""
    if not study:
        return [*leftover(DECODED, "", cached_files()), *leftover(SCRATCH, "", find_abandoned())]
    folder = StudyFolder(results / study)
    return [*(in_study(folder) if folder.study_file.exists() else []), *set_aside(results, study)]


def _removed(one: Leftover, paths: Sequence[Path], notes: list[str]) -> Iterator[Leftover]:
    done, size = list[Path](), 0
    for path in paths:
        bytes_there = size_of(path)
        try:
            if one.kind == SCRATCH:
                remove_if_abandoned(path)
                if path.exists():
                    notes.append(f"{path}: could not be removed whole; a command uses it, or a file in it")
                    continue
            elif one.kind == SET_ASIDE:
                refuse_in_use(StudyFolder(path))
                with locked(StudyFolder(path)):
                    shutil.rmtree(path)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            notes.append(f"{path}: cannot be removed ({error.strerror})")
            continue
        except Hw2tuneError as error:
            notes.append(str(error))
            continue
        done.append(path)
        size += bytes_there
    if done:
        yield replace(one, paths=tuple(done), size=size)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, short enough for Ray's sockets, for the length of a `with`. Raises ResourceError."""
    place = temporary_place()
    for other in {place, *(there for _, there in _places())}:
        remove_abandoned(other)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    lock = filelock.FileLock(folder / "new")
    lock.acquire()
    (folder / "new").rename(folder / "lock")  # nobody sees a lock that is not held yet
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release(force=True)
        shutil.rmtree(folder, ignore_errors=True)  # Ray's last processes may have written meanwhile


def remove_abandoned(place: Path) -> list[Path]:
    """Remove the folders in `place` whose command is dead; return them."""
    return [folder for folder in place.glob(PREFIX + "*") if remove_if_abandoned(folder)]


def find_abandoned() -> list[Path]:
    """The folders of dead commands of this user, wherever temporary folders are."""
    places = dict.fromkeys(place for _, place in _places())
    found = []
    for folder in (folder for place in places for folder in sorted(place.glob(PREFIX + "*"))):
        with _abandoned(folder) as dead:
            found += [folder] if dead else []
    return found


def remove_if_abandoned(folder: Path) -> bool:
    """Remove a command's folder if the command is dead; return whether it was."""
    with _abandoned(folder) as dead:
        if dead:
            _end_what_writes_there(folder)
            shutil.rmtree(folder, ignore_errors=True)
        return dead


@contextlib.contextmanager
def _abandoned(folder: Path) -> Iterator[bool]:
    """Yield whether the command of a folder is dead; nobody else removes it within."""
    with contextlib.ExitStack() as held:
        dead = False
        with contextlib.suppress(OSError, NotImplementedError, filelock.Timeout):
            mine = (folder / "lock").is_file() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()
            if mine and not any((folder / name).exists() for name in OF_A_STUDY):
                held.enter_context(filelock.FileLock(folder / "lock", timeout=0))
                dead = True
        yield dead


def _end_what_writes_there(folder: Path) -> None:
    """Ray's agents outlive a killed command by minutes, and go on writing into its folder."""
    for process in psutil.process_iter(["name"]):
        if str(process.info["name"]).startswith("ray::"):
            with contextlib.suppress(psutil.Error):
                if any(Path(file.path).is_relative_to(folder) for file in process.open_files()):
                    process.kill()
                    process.wait(5)


def temporary_place() -> Path:
    """The first folder that is short enough, can be written and has room. Raises ResourceError, naming each."""
    refusals: dict[str, str] = {}
    for said_by, place in _places():
        why = _fault_in(place)
        if why is None:
            return place
        refusals.setdefault(str(place), f"{place} ({said_by + ': ' if said_by else ''}{why})")
    raise ResourceError(
        f"no temporary folder can take Ray's sockets: {'; '.join(refusals.values())}; name a short folder with room "
        "in TMPDIR"
    )


def _places() -> Iterator[tuple[str, Path]]:
    for name in ("RAY_TMPDIR", "TMPDIR", "TEMP", "TMP"):
        if os.environ.get(name):
            yield name, Path(os.environ[name]).absolute()
    for place in ELSEWHERE:
        yield "", Path(place)


def _fault_in(place: Path) -> str | None:
    longest = LONGEST - len(f"/{PREFIX}XXXXXXXX/{RAYS}")
    if len(os.fsencode(place)) > longest:
        return f"{len(os.fsencode(place))} bytes, and {longest} are the most that leaves room for a socket's name"
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        return error.strerror or str(error)
    return None if free >= FREE_BYTES else f"{free / 1e6:.1f} MB free, {FREE_BYTES / 1e6:.0f} MB wanted"
