"""Where a running Ray cluster is: what the user typed counts, and Ray's own variables only for `auto`."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from hw2tune.errors import ResourceError
from hw2tune.execution.connection_errors import connection_error

RAY_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


def meant(typed: str, named: str) -> tuple[str, str]:
    """The address to attach to, and how to call it in messages: `auto` is what RAY_ADDRESS has `named`, if anything."""
    if typed != "auto" or named in ("", "auto"):
        return typed, typed
    shown = f"auto (RAY_ADDRESS={named})"
    if named == "local":
        raise ResourceError(
            f"--address {shown}: RAY_ADDRESS names no cluster; unset it, or give host:port of the cluster's head"
        )
    return named, shown


@contextlib.contextmanager
def without_ray_address() -> Iterator[dict[str, str]]:
    """For the length of a `with`, Ray finds no address in the environment: it would take it before the one given.

    Yields what stood there.
    """
    before = {name: os.environ.pop(name) for name in RAY_VARIABLES if name in os.environ}
    try:
        yield before
    finally:
        os.environ.update(before)


def reached(address: str, shown: str) -> str:
    """Where the cluster's head listens, as host:port. Raises ResourceError at once where nothing does.

    Ray 2.60 itself goes on trying for many minutes.
    """
    from ray._private.services import canonicalize_bootstrap_address

    if address.startswith("ray://"):
        raise ResourceError(
            f"--address {shown}: Ray Client cannot run a study; use --address auto on a machine of the cluster, "
            "host:port of its head (6379), or http://host:8265 to hand the command over"
        )
    if "://" in address:
        raise ResourceError(
            f"--address {shown}: only `hw2tune study` is handed over to a job server; use --address auto on a "
            "machine of the cluster, or host:port of its head (6379)"
        )
    try:
        host, _, port = (canonicalize_bootstrap_address(address) or "").rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise connection_error(shown, str(error)) from None
    return f"{host}:{port}"
