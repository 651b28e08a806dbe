"""The folder of one command for files that nobody keeps: Ray's sockets and logs, Tune's state.

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
from collections.abc import Iterator
from pathlib import Path

import filelock
import psutil

from hw2tune.errors import ResourceError
from hw2tune.execution.processes import see_off
from hw2tune.interrupt import to_the_end

PREFIX, RAYS = "hw2tune-", "r"
# A socket's path has 107 bytes at most (sun_path); Ray 2.60 puts "/session_2026-11-25_14-26-49_123456_4194304" and
# "/sockets/plasma_store" behind its folder.
LONGEST = 107 - 43 - 21
OF_A_STUDY = ("study.toml", "optuna.journal")  # one whose name begins so has a lock, too
FREE_BYTES = 50_000_000  # Ray's logs of a short command are 1 MB; under this it may not start at all
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # where TMPDIR does not do


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, short enough for Ray's sockets, for the length of a `with`. Raises ResourceError."""
    place = temporary_place()
    for other in {place, *(there for _, there in _places())}:
        for folder in other.glob(PREFIX + "*"):
            remove_if_abandoned(folder)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    lock = filelock.FileLock(folder / "new")
    lock.acquire()
    (folder / "new").rename(folder / "lock")  # nobody sees a lock that is not held yet
    try:
        yield folder
    finally:
        with to_the_end():
            shutil.rmtree(folder, ignore_errors=True)
            lock.release(force=True)
            shutil.rmtree(folder, ignore_errors=True)  # Ray's last processes may have written meanwhile


def find_abandoned() -> list[Path]:
    """The folders of dead commands of this user, wherever temporary folders are."""
    found = []
    for place in dict.fromkeys(place for _, place in _places()):
        for folder in sorted(place.glob(PREFIX + "*")):
            with _abandoned(folder) as dead:
                found += [folder] if dead else []
    return found


def remove_if_abandoned(folder: Path) -> bool:
    """Remove a command's folder if the command is dead; return whether it was."""
    with _abandoned(folder) as dead:
        if not dead:
            return False
        for process in psutil.process_iter(["name"]):  # Ray's agents outlive a killed command by minutes, and write on
            if str(process.info["name"]).startswith("ray::"):
                with contextlib.suppress(psutil.Error, OSError):
                    if any(Path(file.path).is_relative_to(folder) for file in process.open_files()):
                        see_off([process], seconds=0)
        shutil.rmtree(folder, ignore_errors=True)
        return True


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
