"""Ray: started on this machine, or a running cluster attached to."""

from __future__ import annotations

import contextlib
import logging
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
        ray.init(include_dashboard=False, _system_config={"memory_monitor_refresh_ms": 0}, **quiet)
        return
    if address.startswith("ray://"):
        raise ResourceError(
            f"--address {address}: Ray Client cannot run a study; "
            "use --address auto on a machine of the cluster, or host:port of its head (6379)"
        )
    try:
        # Workers there get this package's code; torch and optuna they must have.
        ray.init(address=address, runtime_env={"py_modules": [_package_folder()]}, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ResourceError(
            f"--address {address}: no Ray cluster could be reached ({first_line}); is it running "
            "(`ray start --head`), and does this user have its token in RAY_AUTH_TOKEN or ~/.ray/auth_token?"
        ) from error


def _package_folder() -> str:
    from importlib import resources

    return str(resources.files("hw2tune"))
