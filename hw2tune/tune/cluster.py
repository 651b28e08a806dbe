"""Ray: started on this machine, or a running cluster attached to."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from hw2tune.errors import ResourceError
from hw2tune.tune.fitness import unfit_nodes
from hw2tune.tune.ray_mends import mended, without_servers
from hw2tune.tune.refusal import refusal
from hw2tune.tune.room import Room, Wish, room

PRELOAD = "hw2tune.tune.preload"  # what Ray's idle workers import as they start


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The nodes of a Ray that is connected. `unfit` says of some, by address, why nothing can run there."""

    wish: Wish
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def machines(self) -> list[str]:
        """The addresses of the nodes that are alive."""
        return [node["NodeManagerAddress"] for node in _alive()]

    @property
    def here(self) -> str:
        """The address of the machine that this process runs on."""
        return str(ray.util.get_node_ip_address())

    def room(self, left_out: Collection[str] = (), *, at_most: bool = False) -> Room:
        """What there is room for on the nodes but those left out. Raises ResourceError."""
        alive = _alive()
        out = [node for node in alive if node["NodeManagerAddress"] in {*left_out, *self.unfit}]
        totals = [node["Resources"] for node in alive if node not in out]
        return room(totals, self.wish, avoid=[node["NodeID"] for node in out], at_most=at_most)


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


@contextlib.contextmanager
def connected(wish: Wish) -> Iterator[Cluster]:
    """Ray for the length of a `with`. A cluster that was running before goes on running. Raises ResourceError."""
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _keep_token_private()
    with mended():
        _connect(wish.address)
        try:
            yield Cluster(wish=wish, unfit=unfit_nodes(_alive()) if wish.address else {})
        finally:
            ray.shutdown()


def _keep_token_private() -> None:
    """Ray 2.60 leaves the token file that it makes readable to everybody."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    with contextlib.suppress(OSError):  # no file, or another user's
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def _connect(address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        # A token of this command's own: nothing is left on disk, and no file has to be there or writable. Ray reads it
        # once a process, so a second cluster of the same command has the same.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # "local": without it Ray joins a cluster that happens to run on this machine.
        with without_servers():
            ray.init("local", include_dashboard=False, _system_config={"preload_python_modules": [PRELOAD]}, **quiet)
        return
    _refuse_unreachable(address)
    try:
        # Workers there get this package's code; torch and optuna they must have. In a job they have the job's.
        shipped = {} if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else {"py_modules": [package_folder()]}
        ray.init(address=address, runtime_env=shipped, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise refusal(address, str(error)) from error


def _refuse_unreachable(address: str) -> None:
    """Raises ResourceError at once where nothing listens: Ray 2.60 itself goes on trying for many minutes."""
    from ray._private.services import canonicalize_bootstrap_address

    if address.startswith("ray://"):
        raise ResourceError(
            f"--address {address}: Ray Client cannot run a study; use --address auto on a machine of the cluster, "
            "host:port of its head (6379), or http://host:8265 to hand the command over"
        )
    if "://" in address:
        raise ResourceError(
            f"--address {address}: only `hw2tune study` is handed over to a job server; use --address auto on a "
            "machine of the cluster, or host:port of its head (6379)"
        )
    try:
        host, _, port = (canonicalize_bootstrap_address(address) or "").rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise refusal(address, str(error)) from None


def package_folder() -> str:
    """Where this package's code lies, to be sent to a cluster."""
    from importlib import resources

    return str(resources.files("hw2tune"))
