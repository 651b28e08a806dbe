"""The processes of a Ray that this command started: found, and ended where they have not seen that it has gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

LOOK = 0.02  # seconds
BEGINS = 1.0  # seconds in which a new process has a command line, on a busy machine too
KILLED = 5.0  # seconds for the kernel to end one


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return those of the Ray whose folder this is; its workers are renamed once they have begun."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::") or any(str(folder) in word for word in _command(process)):
                found.append(process)
    return found


def _command(process: psutil.Process) -> list[str]:
    """Return its command line, which a process does not have while it begins. Raises psutil.Error if it has ended."""
    deadline = time.monotonic() + BEGINS
    while not (words := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(LOOK)
    return words


def see_off(processes: Sequence[psutil.Process], seconds: float = 0.5) -> None:
    """Wait so long for processes whose Ray has gone, and end those that have not seen it, as one that is starting."""
    alive = _alive_after(seconds, processes)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _alive_after(KILLED, alive)


def _alive_after(seconds: float, processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Wait so long for processes, and return those that are still there.

    `psutil.wait_procs` of 7.2 gives up at any error of `pidfd_open` but that there is no such process.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(LOOK)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, and take the exit code of a child, which is a zombie until then."""
    with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
        if process.is_running():
            if process.status() != psutil.STATUS_ZOMBIE:
                return False
            os.waitpid(process.pid, os.WNOHANG)
    return True
