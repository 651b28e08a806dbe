"""One process at a time in a study's folder: the operating system's lock, and a record of who holds it.

    lock            the lock itself; it ends with its process, however that dies
    running.json    Owner: for readers, and for machines between which no lock works

Where the record was written under this very kernel the lock alone decides: containers and pods have other names and
their own process numbers, and the same lock. A record of another kernel is of another machine, or of this one before
it was started anew: its owner renews the file every BEAT_SECONDS, and one that does not for STALE_SECONDS is dead. The
two machines' clocks are never compared: the file system's own tells how old the file is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated

import filelock
import psutil
from pydantic import Field

from hw2tune.errors import LostStudyError, StudyFolderError
from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import dump_record, files_below, parse_record, read_record, write_atomically
from hw2tune.records.layout import StudyFolder

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0  # a run that was silent for longer may be taken over
SETTLE_SECONDS = 2.0  # of hosts that start at once the one that wrote its record last goes on
# Beginnings of the names of file systems that several hosts may see.
SHARED = ("afs", "beegfs", "ceph", "cifs", "fuse", "gluster", "gpfs", "lustre", "nfs", "orangefs", "smb")
STARTING_SECONDS = 0.5  # a reader looks at the lock by sharing it for a moment
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that runs a study, distinct from every other one on any machine."""

    host: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    started: float  # clock ticks after the kernel's start, on Linux; what the first hw2tune wrote are seconds
    boot: str = ""  # this start of the kernel
    namespace: str = ""  # in which the pid counts: a container has its own
    since: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_gone(self) -> bool:
        """Return whether this process is known to have ended: it counted in our own numbers, and its number is free."""
        here = this_process()
        if self.boot:
            return (self.boot, self.namespace) == (here.boot, here.namespace) and self.started != _started(self.pid)
        try:
            return self.host == here.host and psutil.Process(self.pid).create_time() != self.started
        except psutil.NoSuchProcess:
            return True


@cache
def this_process() -> Owner:
    """The record of this process."""
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        started=_started(os.getpid()) or 0.0,
        boot=_boot(),
        namespace=_namespace(),
        since=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def owner_of(folder: StudyFolder) -> Owner | None:
    """The process that runs the study now, or None. Changes nothing in the folder."""
    owner = recorded_owner(folder)
    if owner is None or owner.is_gone:
        return None
    if owner.boot == this_process().boot and (taken := _is_locked(folder.lock)) is not None:
        return owner if taken else None
    return owner if owner == this_process() or _age(folder.owner) < STALE_SECONDS else None


def recorded_owner(folder: StudyFolder) -> Owner | None:
    """The last record of a run, also of one that is dead; None if a run took its record away at its end."""
    return read_record(folder.owner, Owner)


def refuse_taken_over(folder: StudyFolder) -> None:
    """Raise LostStudyError if another process has written its record over ours: it writes there now."""
    if recorded_owner(folder) not in (None, this_process()):
        raise _lost(folder)


def _lost(folder: StudyFolder) -> LostStudyError:
    return LostStudyError(
        f"{folder.root}: {recorded_owner(folder) or 'another process'} has taken this study over while this one was "
        "silent; run the same command again to continue it"
    )


@contextlib.contextmanager
def locked(folder: StudyFolder, say: Say = lambda text: None) -> Iterator[None]:
    """Keep other processes off the folder for the length of a `with`. Raises StudyFolderError, PathError.

    If another machine may still run the study, it waits for a sign of life, at most STALE_SECONDS, and says so.
    """
    make_folder(folder.root)
    refuse_links_out(folder.root)
    me = this_process()
    with _system_lock(folder) as works:
        if not works or (owner := recorded_owner(folder)) is None or owner.boot != me.boot:
            _await_the_dead(folder, say)
        for path in files_below(folder.root):
            with contextlib.suppress(OSError):
                # Half-written by a process that was killed; a living one, which draws a report, may be about to rename.
                if path.suffix == ".part" and _age(path) > STALE_SECONDS:
                    path.unlink()
        write_atomically(folder.owner, dump_record(me), durable=True)
        if not works or _is_shared(folder.root):  # another host, with a lock of its own, may have begun as well
            time.sleep(SETTLE_SECONDS)
            if (owner := recorded_owner(folder)) != me:
                raise in_use(folder.root, owner, folder.owner)
        with _beating(folder, me):
            yield


@contextlib.contextmanager
def _beating(folder: StudyFolder, me: Owner) -> Iterator[None]:
    ended, lost = threading.Event(), threading.Event()
    beat = threading.Thread(target=_beat, args=(folder.owner, me, ended, lost), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        if recorded_owner(folder) == me:
            folder.owner.unlink(missing_ok=True)
        else:
            lost.set()
    if lost.is_set():
        raise _lost(folder)


def in_use(place: Path | str, owner: Owner | None, record: Path | None = None) -> StudyFolderError:
    """The error if `owner` runs the study at `place`."""
    renewed = f" ({record}, renewed {_age(record):.0f} s ago)" if record is not None and record.exists() else ""
    return StudyFolderError(
        f"{place}: {owner or 'another process'} runs this study{renewed}; wait for it, end it, or take another --name"
    )


def make_folder(root: Path) -> None:
    """Make a study's folder. Raises StudyFolderError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyFolderError(f"{root}: cannot be made ({error.strerror}); take another --results-dir") from None


@contextlib.contextmanager
def _system_lock(folder: StudyFolder) -> Iterator[bool]:
    """Hold the lock; yield whether this file system knows one. Raises StudyFolderError if another holds it."""
    lock = filelock.FileLock(folder.lock, fallback_to_soft=False)  # a soft lock would outlive its process
    try:
        lock.acquire(timeout=STARTING_SECONDS, poll_interval=0.05)
    except filelock.Timeout:
        raise in_use(folder.root, recorded_owner(folder), folder.owner) from None
    except NotImplementedError:
        yield False
        return
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise StudyFolderError(f"{folder.lock}: cannot be locked ({error.strerror}); look at its folder") from None
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _await_the_dead(folder: StudyFolder, say: Say) -> None:
    """Return when the owner in the record is dead. Raises StudyFolderError if it lives."""
    owner = recorded_owner(folder)
    if owner is None or owner.is_gone or owner == this_process():
        return
    left = STALE_SECONDS - _age(folder.owner)
    if left > 0:
        say(f"{folder.owner}: {owner} may still run this study; waiting {left:.0f} s for a sign of life")
    before, until = _renewed(folder.owner), time.monotonic() + left
    while time.monotonic() < until:
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
        if _renewed(folder.owner) != before:
            raise in_use(folder.root, recorded_owner(folder), folder.owner)


def _beat(record: Path, me: Owner, ended: threading.Event, lost: threading.Event) -> None:
    """Renew the record until `ended`; where another has taken the study over, end this process in order."""
    while not ended.wait(BEAT_SECONDS):
        try:
            if parse_record(record.read_bytes(), Owner) == me:
                os.utime(record)  # in place and by the file system's own clock
                continue
        except FileNotFoundError:  # who took the study over has ended
            pass
        except OSError:  # a file system that does not answer says nothing
            continue
        lost.set()
        os.kill(os.getpid(), signal.SIGTERM)  # it was stopped for so long that it counted as dead
        return


def _is_shared(folder: Path) -> bool:
    """Return whether other hosts may see the folder's file system, each with locks of its own."""
    mounts = {Path(one.mountpoint): one.fstype.lower() for one in psutil.disk_partitions(all=True)}
    place = folder.resolve()
    return next((mounts[path] for path in (place, *place.parents) if path in mounts), "").startswith(SHARED)


def _is_locked(lock: Path) -> bool | None:
    """Return whether a process holds the lock; None if that cannot be found out without changing anything."""
    try:
        import fcntl

        descriptor = os.open(lock, os.O_RDONLY)
    except (ImportError, OSError):  # also where there is none, as in a copy that was made to be read
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _renewed(record: Path) -> float:
    try:
        with record.open("rb") as opened:  # opening asks a network file system for the present state
            return os.fstat(opened.fileno()).st_mtime
    except OSError:
        return 0.0


def _age(record: Path) -> float:
    """Seconds since the record was renewed, by the clock of the file system that it lies on."""
    try:
        with tempfile.TemporaryFile(dir=record.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:
        now = time.time()
    return max(0.0, now - _renewed(record))


def _started(pid: int) -> float | None:
    """The start of a process, by a clock that nobody sets; None if it does not exist."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return float(stat.rpartition(")")[2].split()[19])  # field 22 of proc(5): clock ticks after the kernel's start
    with contextlib.suppress(psutil.Error):
        return round(psutil.Process(pid).create_time() - psutil.boot_time(), 1)
    return None


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""
