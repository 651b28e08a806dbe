"""Ray: started on this machine, or a running cluster attached to."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

import ray

from hw2tune.errors import ResourceError
from hw2tune.tune.room import Room, Wish, room


@contextlib.contextmanager
def connected(wish: Wish) -> Iterator[Room]:
    """Ray for the length of a `with`. A cluster that was running before goes on running. Raises ResourceError."""
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _connect(wish.address)
    try:
        yield room([node["Resources"] for node in ray.nodes() if node["Alive"]], wish)
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        # The memory monitor's kill is no actor death to Tune 2.60 and ends the whole study; the kernel's is one.
        # "local": without it Ray joins a cluster that happens to run on this machine.
        ray.init("local", include_dashboard=False, _system_config={"memory_monitor_refresh_ms": 0}, **quiet)
        return
    if address.startswith("ray://"):
        raise ResourceError(
            f"--address {address}: Ray Client cannot run a study; "
            "use --address auto on a machine of the cluster, or host:port of its head (6379)"
        )
    _refuse_unreachable(address)
    try:
        # Workers there get this package's code; torch and optuna they must have.
        ray.init(address=address, runtime_env={"py_modules": [_package_folder()]}, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(address, str(error).strip().splitlines()[0]) from error


def _refuse_unreachable(address: str) -> None:
    """Raises ResourceError at once where nothing listens: Ray 2.60 itself goes on trying for many minutes."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        host, _, port = (canonicalize_bootstrap_address(address) or "").rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, why: str) -> ResourceError:
    return ResourceError(
        f"--address {address}: no Ray cluster could be reached ({why}); is it running "
        "(`ray start --head`), and does this user have its token in RAY_AUTH_TOKEN or ~/.ray/auth_token?"
    )


def _package_folder() -> str:
    from importlib import resources

    return str(resources.files("hw2tune"))
