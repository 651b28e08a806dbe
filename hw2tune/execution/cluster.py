"""Ray: started on this machine, or a running cluster attached to."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import ray

from hw2tune.errors import RayFailedError, ResourceError
from hw2tune.execution.attaching import (
    answers,
    connection_error,
    reached,
    users_token,
    wanted_mode,
    without_ray_address,
)
from hw2tune.execution.nodes import EVERY, Nodes, alive_nodes
from hw2tune.execution.processes import processes_of, see_off
from hw2tune.execution.scratch import scratch
from hw2tune.execution.starting import QUIET, started
from hw2tune.execution.workarounds import translated_errors
from hw2tune.interrupt import signals_wait, to_the_end
from hw2tune.loggers import silenced
from hw2tune.resources import Capacity, ResourceRequest, find_capacity, without_advice
from hw2tune.text.plain import last_line
from hw2tune.user_code.importer import trust_variable

ANSWER = 1.0  # seconds for a machine to take a connection
_RUN = threading.Lock()


@dataclass(kw_only=True)
class Cluster:
    """A Ray that is connected; `until` then (of `time.monotonic`) a machine is waited for, None for ever."""

    resources: ResourceRequest
    scratch: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))  # for what nobody keeps
    nodes: Nodes = field(default_factory=lambda: Nodes(changing=False))
    note: Callable[[str], None] = lambda text: None
    until: float | None = None

    def answers(self, machine: str) -> bool:
        """Return whether Ray's process on a machine answers: Ray itself takes seconds to know that it is gone."""
        ports = [node["NodeManagerPort"] for node in alive_nodes() if node["NodeManagerAddress"] == machine]
        return any(answers(f"{machine}:{port}", ANSWER) for port in ports)

    @property
    def able(self) -> set[str]:
        """The addresses of the machines on which a trial fits."""
        found, one = set[str](), replace(self.resources, concurrency=None)
        for node in self.nodes.usable:
            if (address := node["NodeManagerAddress"]) not in self.nodes.unsuitable:
                with contextlib.suppress(ResourceError):
                    find_capacity([node["Resources"]], one)
                    found.add(address)
        return found

    @property
    def here(self) -> str:
        """The address of the machine that this process runs on."""
        return str(ray.util.get_node_ip_address())

    def capacity(self, excluded: Collection[str] = (), *, at_most: bool = False) -> Capacity:
        """Capacity of the nodes except those excluded; where others may join, as soon as there is any.

        Others may join a Ray that is open, and once trials have begun (`at_most`) any cluster. Raises ResourceError if
        there is none, or none in time.
        """
        others_may_join = self.resources.opening is not None or (at_most and self.resources.machines_change)
        said = False
        while True:
            try:
                return self.capacity_now(excluded, at_most=at_most)
            except ResourceError as error:
                if not others_may_join or (self.until is not None and time.monotonic() >= self.until):
                    raise
                if not said:
                    self.note(f"waiting for a machine to join: {without_advice(error)}")
                said = True
            time.sleep(EVERY)

    def capacity_now(self, excluded: Collection[str] = (), *, at_most: bool = False) -> Capacity:
        """Capacity of the nodes that are there now, except those excluded. Raises ResourceError."""
        nodes, at_most = self.nodes, at_most or self.resources.opening is not None  # others may join that one
        nodes.look()
        out = [node for node in nodes.alive if node["NodeManagerAddress"] in {*excluded, *nodes.unsuitable}]
        totals = [node["Resources"] for node in nodes.usable if node not in out]
        avoid = [node["NodeID"] for node in nodes.alive if node in out or node in nodes.unanswered]
        return find_capacity(totals, self.resources, avoid=avoid, at_most=at_most)


@contextlib.contextmanager
def connected(resources: ResourceRequest, note: Callable[[str], None] = lambda text: None) -> Iterator[Cluster]:
    """Ray for the length of a `with`. A cluster that was running before goes on running.

    A Ray that the caller has started in this process is used if the address is `auto`, and left running. Raises
    ResourceError, and RayFailedError for an error of Ray's within the `with`. `note` gets what the user should know of
    the cluster.
    """
    address = resources.address
    with (
        _only_run(),
        silenced("ray", "ray.tune", "ray.train", "ray.data", "ray.widgets.util"),
        scratch() as folder,
        translated_errors(),
    ):
        if ray.is_initialized() and address != "auto":
            raise ResourceError("Ray runs in this process already; run `ray.shutdown()` first, or use address='auto'")
        if ray.is_initialized():
            yield Cluster(resources=resources, scratch=folder, nodes=Nodes(changing=True))
            return
        try:
            with started(folder, note, resources.opening) if address is None else _attached(address, note):
                yield Cluster(
                    resources=resources, scratch=folder, nodes=Nodes(changing=resources.machines_change), note=note
                )
        finally:
            with to_the_end():  # else a second Ctrl-C would leave Ray's processes, which write on into the folder
                left = processes_of(folder) if address is None else []
                try:
                    with signals_wait():
                        ray.shutdown()
                finally:
                    see_off(left)


@contextlib.contextmanager
def _only_run() -> Iterator[None]:
    """Around the use of Ray: a process has one. Raises ResourceError during another, RayFailedError if Ray fails."""
    if not _RUN.acquire(blocking=False):
        raise ResourceError(
            "hw2tune runs in this process already, and a process has one Ray; wait for that run, or use another process"
        )
    try:
        yield
    except ray.exceptions.RayError as error:
        raise RayFailedError(
            f"Ray failed with {type(error).__name__}: {last_line(error)}; what is finished is kept, run the same "
            "command again"
        ) from error
    finally:
        _RUN.release()


@contextlib.contextmanager
def _attached(typed: str, note: Callable[[str], None]) -> Iterator[None]:
    with without_ray_address() as named:
        address, shown = reached(typed, named)
        mode = wanted_mode(address, shown)
        with users_token(mode):
            # Workers there get this package's code; torch and optuna they must have. In a job they have the job's.
            sent = {"py_modules": [package_folder()], "env_vars": trust_variable()}
            shipped = {} if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else sent
            try:
                with signals_wait():
                    ray.init(address=address, runtime_env=shipped, **QUIET)
            except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                raise connection_error(shown, str(error)) from error
            if mode == "disabled":
                note(f"{shown}: this cluster has no token: whoever reaches it can run code there (docs/cluster.md)")
            yield


def package_folder() -> str:
    """The folder of this package, to be sent to a cluster."""
    return str(Path(__file__).parents[1])
