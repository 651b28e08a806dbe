"""Ending a run from another process: whoever holds the study is sent the signal that Ctrl-C stands for.

A process is signalled only where the lock's record names it, it runs under this very kernel with our process numbers,
it started when the record says, and it holds the study's lock or is a command of hw2tune: a number that went to
another process since is left alone, and so is one that somebody else wrote into a shared folder.
"""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import Owner, Say, recorded_owner, this_process
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.remote.mirror import owner_at, reading, reading_study
from hw2tune.records.remote.store import is_url, shown
from hw2tune.text.plain import without_secrets

SECOND_SECONDS = 1.0  # between the two signals of `now`
LEAVING_SECONDS = 3.0  # a command that has let go of the study ends, or goes on with the next (`--summarize`)
LOOK_SECONDS, LOOK_STORE_SECONDS = 0.2, 2.0
ENDING = ("SIGTERM", "SIGINT", "SIGHUP")  # in this order: a shell's background job ignores SIGINT, `nohup` SIGHUP


@dataclass(frozen=True, kw_only=True)
class Stop:
    """The outcome of stopping a study."""

    name: str
    ended: Owner | None  # whose run was ended; None if nothing ran
    seconds: float  # that this took
    stale: Owner | None  # a run that died without a word; its record holds nobody up
    overview: Overview | None  # the study as it is now; None of one that never began, or of a reproduction


def stop_run(results: str | Path, name: str, *, now: bool, timeout: float, say: Say) -> Stop:
    """End the run of study `name` in order, or with `now` at once, and wait until the study is free.

    Raises StudyFolderError if there is no such study, where its process cannot be signalled from here, and where it
    still runs after `timeout` seconds.
    """
    began = time.monotonic()
    owner = owner_at(results, name)
    if owner is not None:
        _Ending(owner, results, name, say).end(now=now, timeout=timeout)
    seconds = time.monotonic() - began
    folder = StudyFolder.named(reading(results, name), name) if owner else reading_study(results, name)
    overview = read_overview(folder) if folder.study_file.exists() else None
    stale = None if owner else recorded_owner(folder)
    return Stop(name=name, ended=owner, seconds=seconds, stale=stale, overview=overview)


@dataclass(frozen=True)
class _Ending:
    """One process that is asked to let go of one study."""

    owner: Owner
    results: str | Path
    name: str
    say: Say

    def end(self, *, now: bool, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._ask()
        if now and not self._wait(self._is_free, SECOND_SECONDS):
            self._ask()
        while True:
            if not self._wait(self._is_free, deadline - time.monotonic()):
                pid = self.owner.pid
                way = f"`kill -9 {pid}` costs the epochs under way and nothing else" if now else "--now ends it at once"
                raise StudyFolderError(
                    f"{self.name}: {self.owner} still runs {timeout:g} s after it was asked to end; {way}"
                )
            if not self._wait(lambda: self._has_left() or not self._is_free(), LEAVING_SECONDS) or self._has_left():
                return  # without having left: a notebook, say, that goes on living
            self._ask()

    def _ask(self) -> None:
        if (process := _process_of(self.owner, self.name, shown(self.results))) is None:
            return
        try:
            number = _signal_for(process.pid)
            if number is None:
                raise StudyFolderError(
                    f"{self.name}: {self.owner} ignores every signal that ends a command in order; `kill -9 "
                    f"{self.owner.pid}` ends it, and costs the epochs under way and nothing else"
                )
            self.say(f"{self.name}: asking process {process.pid}{_command(process)} to end ({number.name})")
            process.send_signal(number)
            if process.status() == psutil.STATUS_STOPPED:  # by Ctrl-Z: it would hear nothing
                process.resume()
        except psutil.NoSuchProcess:
            return
        except (psutil.AccessDenied, PermissionError):
            user = ""
            with contextlib.suppress(psutil.Error, KeyError):
                user = f", {process.username()}"
            raise StudyFolderError(
                f"{self.name}: {self.owner} belongs to another user{user}; ask them, or become them with sudo"
            ) from None

    def _is_free(self) -> bool:
        return owner_at(self.results, self.name) != self.owner

    def _has_left(self) -> bool:
        """Return whether the process has ended, also if nobody has asked for its exit code yet."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self.owner.is_gone or psutil.Process(self.owner.pid).status() == psutil.STATUS_ZOMBIE
        return True

    def _wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Return whether it came true within so many seconds."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_STORE_SECONDS if is_url(self.results) else LOOK_SECONDS)
        return True


def _process_of(owner: Owner, name: str, results: str) -> psutil.Process | None:
    """The owner's process; None if it has ended. Raises StudyFolderError if it is out of reach."""
    here = this_process()
    if (owner.boot or owner.host) != (here.boot if owner.boot else here.host):
        raise StudyFolderError(
            f"{name}: {owner} runs it, on another machine than this ({here.host}); run `hw2tune stop {name}` there, "
            f"with its --results-dir ({results} here)"
        )
    if owner.boot and owner.namespace != here.namespace:
        raise StudyFolderError(
            f"{name}: {owner} runs it, in a container of this machine whose processes cannot be seen from here; run "
            f"`hw2tune stop {name}` in it (`docker exec`, `kubectl exec`)"
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(owner.pid)  # knows from here on when it started, and signals no other
        if owner.is_gone:
            return None
        if not _runs(process, name):
            raise StudyFolderError(
                f"{name}: {owner} is on record, but neither holds the study's lock nor is a command of hw2tune; "
                "nothing was signalled, look at who wrote running.json"
            )
        return process
    return None


def _runs(process: psutil.Process, name: str) -> bool:
    """Return whether a process can be the one that runs the study; of another user's, which no signal reaches, True."""
    try:
        held = any(Path(file.path).parts[-2:] == (Path(name).name, "lock") for file in process.open_files())
        return held or any(Path(word).name == "hw2tune" for word in process.cmdline()[:3])
    except psutil.AccessDenied:
        return True


def _signal_for(pid: int) -> signal.Signals | None:
    """The first signal that the process has a handler for, else one that it does not ignore."""
    status = ""  # unless the system tells
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    masks = dict(re.findall(r"^(SigCgt|SigIgn):\s*([0-9a-f]+)", status, re.MULTILINE))  # a bit per signal
    caught, ignored = (int(masks.get(which, "0"), 16) for which in ("SigCgt", "SigIgn"))
    numbers = [signal.Signals[name] for name in ENDING if name in signal.Signals.__members__]
    heard = [number for number in numbers if caught >> (number - 1) & 1]
    return next(iter([*heard, *(number for number in numbers if not ignored >> (number - 1) & 1)]), None)


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        words = [Path(word).name if n < 2 else word for n, word in enumerate(process.cmdline())]
        start = next((n for n, word in enumerate(words) if word == "hw2tune"), 0)
        return f" ({without_secrets(' '.join(words[start:]))[:100]})" if words else ""
    return ""
