"""The machine as a node of the Ray of a study on another one, until that ends or somebody takes the machine away.

Ray's node is started in this process as `ray start` does, but out of reach of the signals that end a job: they are for
this process, which lets the trials here go to the end of their epoch first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import psutil
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled, without stubs
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.core.generated.gcs_pb2 import GcsNodeInfo
from ray.exceptions import AuthenticationError, RayError

from hw2tune.errors import ResourceError
from hw2tune.execution.attaching import answers, connection_error, one_question, own_token, token_in
from hw2tune.execution.machine import this_machine
from hw2tune.execution.nodes import CODE, NEEDED, READY, package_digest
from hw2tune.execution.processes import processes_of, see_off
from hw2tune.execution.scratch import RAYS, scratch
from hw2tune.execution.workarounds import OutOfReach, for_one_command
from hw2tune.interrupt import interruptible, signals_wait, to_the_end
from hw2tune.loggers import silenced
from hw2tune.paths import expand
from hw2tune.text.numbers import counted
from hw2tune.text.plain import first_line

STEP = 1.0  # seconds from one look at the node to the next
GONE = 15  # seconds without an answer after which the study's Ray has ended
GRACE = 60  # seconds that trials here have to come to a checkpoint


class JoinEnd(Enum):
    """The reason why a machine is no longer a node."""

    CLUSTER_ENDED = "the study has ended"
    INTERRUPTED = "interrupted"


def join(
    address: str,
    token_file: Path,
    *,
    note: Callable[[str], None],
    cpus: int | None = None,
    gpus: int | None = None,
    grace: float = GRACE,
) -> JoinEnd:
    """Add this machine to the Ray at host:port until that ends, or until a signal that ends a command.

    By default with all CPUs and GPUs that this process is granted, which a machine gives once. At a signal nothing new
    begins here, and what runs has `grace` seconds to end its epoch, from which it goes on elsewhere; a second
    signal ends it at once. Raises ResourceError, PathError.
    """
    machine = this_machine()
    given = int(machine["CPU"]) if cpus is None else cpus, int(machine["GPU"]) if gpus is None else gpus
    whole = cpus is None or (gpus is None and given[1] > 0)
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        them = "it" if len(lacking) == 1 else "them"
        raise ResourceError(f"this Python has no {' and no '.join(lacking)}, so no trial can run here; install {them}")
    left, token_file = threading.Event(), expand(token_file, "--token-file")
    with own_token(token_in(token_file)), scratch() as folder, silenced("ray"):
        here = _address_here(address)
        _refuse_unfit(address, token_file, here=here if whole else None)
        with _node(address, here, folder, *given) as (node, raylet), interruptible(left.set):
            resources = f"{counted(given[0], 'CPU')} and {counted(given[1], 'GPU')}"
            note(f"joined {address} with {resources}; Ctrl-C takes this machine away")
            answered = time.monotonic()
            while not left.wait(STEP):
                ended = raylet.poll()
                if answers(address, STEP):
                    answered = time.monotonic()
                    if ended is not None:
                        raise ResourceError(
                            f"{address}: this machine's node ended (exit code {ended}), though the study runs: was it "
                            "cut off, or does a firewall close its ports to the others? Run the same command again"
                        )
                elif ended is not None or time.monotonic() - answered > GONE:
                    return JoinEnd.CLUSTER_ENDED
            note(f"leaving: trials here go on elsewhere from the end of their epoch, within {grace:g} s")
            _drain(node, raylet, grace)
            return JoinEnd.INTERRUPTED


@contextlib.contextmanager
def _node(address: str, here: str, folder: Path, cpus: int, gpus: int) -> Iterator[tuple[Any, OutOfReach]]:
    """Ray's node for the length of a `with`, and its raylet. Raises ResourceError."""
    asked = RayParams(
        gcs_address=address, node_ip_address=here, num_cpus=cpus, num_gpus=gpus, labels={READY: "true"},
        temp_dir=str(folder / RAYS),
    )  # fmt: skip
    node = None
    try:
        try:
            with for_one_command() as processes, signals_wait():
                node = Node(asked, shutdown_at_exit=False)
                node.check_version_info()
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise connection_error(address, str(error), option="") from error
        yield node, processes[-1]
    finally:
        with to_the_end():
            if node is not None:
                node.kill_all_processes(check_alive=False, allow_graceful=False)
            see_off(processes_of(folder), seconds=0)


def _address_here(address: str) -> str:
    """Return the address at which the study's machine can reach this one. Raises ResourceError if nothing answers."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ResourceError(f"{address!r} is no HOST:PORT; `hw2tune study --open` says which one")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            return str(connection.getsockname()[0])
    except (OSError, OverflowError) as error:
        raise ResourceError(
            f"{address}: no study answers there ({error}); is `hw2tune study --open` still running, and does a "
            "firewall let its port through?"
        ) from error


def _refuse_unfit(address: str, token_file: Path, *, here: str | None) -> None:
    """Raise ResourceError for what is no Ray, or one that does not take this token, or has other code of ours.

    Also for one that has this machine, known as `here`, if that is given: what it has would count twice.
    """
    try:
        with one_question():
            nodes = GcsClient(address=address).get_all_node_info(timeout=10).values()
    except AuthenticationError as error:
        raise ResourceError(
            f"{address}: wants another token than that in {token_file}; name the file that `hw2tune study --open` named"
        ) from error
    except RayError as error:
        raise ResourceError(
            f"{address}: what listens there is no Ray, or does not answer ({first_line(str(error))}); give the "
            "HOST:PORT that `hw2tune study --open` has printed"
        ) from error
    theirs = {digest for node in nodes if (digest := dict(node.labels).get(CODE))}
    if theirs - {package_digest()}:
        raise ResourceError(f"{address}: runs other code of hw2tune than this machine has; install the same on both")
    # The study's own machine may be known by the address of another of its networks.
    own = {here, *(net.address for nets in psutil.net_if_addrs().values() for net in nets)}
    living = {node.node_manager_address for node in nodes if node.state == GcsNodeInfo.ALIVE}
    if here is not None and (known := living & own):
        raise ResourceError(
            f"{address}: this machine is in the study already (at {', '.join(sorted(known))}), and its CPUs and GPUs "
            "would count twice; give `--cpus N --gpus N` for a part of it that nothing else uses, or wait if it was "
            "killed just now"
        )


def _drain(node: Any, raylet: OutOfReach, grace: float) -> None:
    """Let Ray give this node nothing more, and wait until it has nothing: its raylet ends then by itself."""
    until = time.time() + grace
    with contextlib.suppress(Exception):  # a head that is gone: nothing is left to wait for
        reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
        node.get_gcs_client().drain_node(node.node_id, reason, "leaves in order", int(until * 1000), timeout=5)
        while raylet.poll() is None and time.time() < until:
            time.sleep(0.1)
