"""The start of a Ray of this command's own, awaited as long as its processes live: a busy machine takes its time."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import ray
import ray._private.node
import ray._private.services

from hw2tune.errors import ResourceError
from hw2tune.execution.attaching import own_token, token_in
from hw2tune.execution.machine import this_machine
from hw2tune.execution.nodes import CODE, package_digest
from hw2tune.execution.processes import processes_of, see_off
from hw2tune.execution.scratch import RAYS
from hw2tune.execution.workarounds import for_one_command, free_port, patched
from hw2tune.interrupt import signals_wait
from hw2tune.paths import cache_dir, existing_folder, expand
from hw2tune.resources import Opening
from hw2tune.user_code.importer import trust_variable

PRELOAD = "hw2tune.execution.preload"  # what Ray's idle workers import as they start
# Seconds that a worker may be idle. Ray ends idle ones after one second where no processor is free, and Tune reserves
# processors for its first trials before it asks for workers: new ones would start then, and import everything anew.
KEPT = 60.0
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
ANSWER = 2_000_000  # bytes in a worker's answer; what is in a node's store dies with the node, and ends Ray Tune
STEP, LONGEST = 10, 300  # seconds from one look at the processes to the next, and for the whole start
Note = Callable[[str], None]


class StartError(Exception):
    """A process of Ray's died as Ray started."""


@contextlib.contextmanager
def started(folder: Path, note: Note, opening: Opening | None = None) -> Iterator[None]:
    """A Ray of this command's own, started once more if a process of its died on the way. Raises ResourceError.

    With `opening` other machines may join it, and `note` says how.
    """
    with own_token() if opening is None else _opened(opening) as join:
        for last in (False, True):
            try:
                start(folder, note, opening)
                break
            except Exception as error:  # Ray raises several types, known by their text
                known = ("timed out", "Failed to connect to GCS", "Failed to start GCS")
                if not isinstance(error, StartError) and not any(text in str(error) for text in known):
                    raise
                why = str(error) if isinstance(error, StartError) else "it did not answer"
                if last:
                    raise ResourceError(
                        f"Ray did not start, twice: {why} ({load()}); `hw2tune doctor` looks at this machine's memory "
                        "and disks, then run the same command again: finished work is kept"
                    ) from error
            note(f"Ray did not start: {why} ({load()}); it is started once more")
            ray.shutdown()
            see_off(processes_of(folder), seconds=0)  # they would take the time of the next start
        if join is not None:
            note(join(str(ray.get_runtime_context().gcs_address)))
        yield


@contextlib.contextmanager
def _opened(opening: Opening) -> Iterator[Callable[[str], str]]:
    """For the length of a `with`, the token and the port of a Ray that is open; yields the words that say how to join.

    Raises ResourceError, PathError.
    """
    _refuse_loopback(opening)
    host, port = opening.host, opening.port or free_port()
    try:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
    except OSError as error:
        raise ResourceError(
            f"--port {f'{host}:' * bool(host)}{port}: {error.strerror or error}; name a free port, at an address of "
            "this machine, or leave it out"
        ) from error
    file = _named(opening.token_file) or cache_dir() / "tokens" / f"{platform.node()}-{port}"
    token = token_in(file, make=True)
    try:
        with own_token(token, port):
            yield lambda address: f"others join with: hw2tune join {address} --token-file {file}"
    finally:
        if opening.token_file is None:
            file.unlink(missing_ok=True)


def _named(token_file: Path | None) -> Path | None:
    """Return the file that a user has named for the token, if any. Raises PathError where there is no such folder."""
    if token_file is None:
        return None
    file = expand(token_file, "--token-file")
    existing_folder(file.parent, f"--token-file {file}:")
    return file


def _refuse_loopback(opening: Opening) -> None:
    """Raise ResourceError for a host that other machines cannot reach, in whose place Ray 2.60 takes another one.

    A name of this machine's may lead to loopback here and to this machine elsewhere.
    """
    host, port = opening.host, opening.port
    if _is_loopback(host) and not _is_loopback(here := ray.util.get_node_ip_address()):  # else there is no network
        raise ResourceError(
            f"--port {host}:{port}: must be at an address that other machines can reach, but got {host}; "
            f"use {here}:{port}, or leave {host} out"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().partition(".")[0] == "localhost"


def start(folder: Path, note: Note, opening: Opening | None = None) -> None:
    """Start Ray in a folder. Raises StartError, ResourceError, and what Ray raises."""
    open_to_others: dict[str, Any] = {}
    if opening is not None:  # their workers have this process's environment no more than its code
        open_to_others = {"labels": {CODE: package_digest()}, "_node_ip_address": opening.host or None}
        open_to_others |= {"runtime_env": {"env_vars": trust}} if (trust := trust_variable()) else {}
    with for_one_command() as processes, signals_wait() as let_through, _awaited(processes, note, let_through):
        ray.init(
            "local",  # without it Ray joins a cluster that happens to run on this machine
            num_cpus=int(this_machine()["CPU"]),  # Ray counts neither affinity nor quotas
            include_dashboard=False,
            _temp_dir=str(folder / RAYS),
            _system_config={
                "preload_python_modules": [PRELOAD],
                "idle_worker_killing_time_threshold_ms": round(1000 * KEPT),
                "max_direct_call_object_size": ANSWER,
            },
            **open_to_others,
            **QUIET,
        )


@contextlib.contextmanager
def _awaited(processes: Sequence[Popen[bytes]], note: Note, let_through: Callable[[], None]) -> Iterator[None]:
    """For the length of a `with`, `ray.init` waits for its server and its node as long as their processes live.

    Ray 2.60 gives up each after 30 s, be it alive or dead; for the node no setting changes that. Raises StartError if
    one died, ResourceError after LONGEST.
    """
    patience = _Patience(processes=processes, note=note, let_through=let_through)
    port, node = ray._private.node.wait_for_persisted_port, ray._private.services.get_node
    with (
        patched(ray._private.node, "wait_for_persisted_port", patience.asking(port, timeout_ms=1000 * STEP)),
        patched(ray._private.services, "get_node", patience.asking(node)),  # which takes 10 s in Ray 2.60
    ):
        yield


@dataclass(kw_only=True)
class _Patience:
    """Waiting for the newest of Ray's processes."""

    processes: Sequence[Popen[bytes]]
    note: Note
    let_through: Callable[[], None]
    begun: float = field(default_factory=lambda: time.monotonic())
    told: bool = False

    def asking(self, ask: Callable[..., Any], **step: float) -> Callable[..., Any]:
        """Return `ask`, asked again until there is an answer."""

        def asked(*arguments: Any, **options: Any) -> Any:
            while True:
                try:
                    return ask(*arguments, **options | step)
                except (RuntimeError, ray.exceptions.RaySystemError):  # that it has not come yet
                    self.look()

        return asked

    def look(self) -> None:
        """Say once that Ray is slow. Raises StartError, ResourceError, and what the handler of a signal raises."""
        self.let_through()
        for one in self.processes:
            if one.poll() is not None:
                raise StartError(f"its {_name(one)} ended with exit code {one.returncode}")
        seconds, newest = time.monotonic() - self.begun, self.processes[-1]
        if seconds > LONGEST:
            raise ResourceError(
                f"Ray did not start within {LONGEST} s: its {_name(newest)} (process {newest.pid}) runs and does not "
                f"answer, as this machine is too busy ({load()}); end what else runs here, and run the same command "
                "again: finished work is kept"
            )
        if seconds >= STEP and not self.told:
            self.told, late = True, f"Ray's {_name(newest)} has not answered for {seconds:.0f} s"
            self.note(f"{late} ({load()}); waiting up to {LONGEST} s")
        time.sleep(0.1)  # an answer that fails at once


def _name(process: Popen[bytes]) -> str:
    command = process.args if isinstance(process.args, list) else [process.args]
    return Path(str(command[0])).name


def load() -> str:
    """Return how busy the machine is."""
    return f"load {psutil.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
