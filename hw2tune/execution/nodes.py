"""The nodes of a cluster as they come and go: which can run a trial, which are leaving, which have left in order."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray._private.state import state
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hw2tune.errors import ResourceError
from hw2tune.text.plain import last_line
from hw2tune.user_code.files import code_digest

NEEDED = ("hw2tune", "torch", "optuna", "numpy")  # in a worker: hw2tune travels there, but not to a Ray of the caller's
PATIENCE = 120  # seconds for a node to start a process and answer
LATE = f"it did not answer within {PATIENCE} s"
EVERY = 2  # seconds from one look to the next, a call over the network
READY = "hw2tune.ready"  # label of a node that `hw2tune join` has looked at, and that needs no question
CODE = "hw2tune.code"  # label of the node that others join: the digest of this package
UNEXPECTED = (0, 2)  # Ray's reasons for a node's death: not given, unexpected; the others are a drain and `ray stop`


class Nodes:
    """The nodes of a connected Ray. With `changing` one that joins is asked what it has before it counts."""

    def __init__(self, *, changing: bool) -> None:
        self.changing = changing
        self.alive: list[dict[str, Any]] = []
        self.leaving: Collection[str] = ()  # ids
        self.unsuitable: dict[str, str] = {}  # why, by address
        self._answered: set[str] = set()
        self._asked: dict[Any, tuple[Mapping[str, Any], float]] = {}  # and when, by the reference of the answer
        self._looked = -math.inf
        if changing:
            self.alive = alive_nodes()
            self.unsuitable = unsuitable_nodes(self.alive)
            self._answered = {node["NodeID"] for node in self.alive}

    def look(self, *, afresh: bool = False) -> None:
        """See which nodes are there; where they change, at most every EVERY seconds, unless `afresh`."""
        if not afresh and time.monotonic() - self._looked < EVERY:
            return
        self.alive = alive_nodes()
        if not self.changing:
            self._answered = {node["NodeID"] for node in self.alive}
            return
        self.leaving, self._looked = state.get_draining_nodes(), time.monotonic()
        asked = {node["NodeID"] for node, _ in self._asked.values()}
        new = [node for node in self.alive if node["NodeID"] not in {*self._answered, *asked}]
        for node in filter(_is_ready, new):
            self._heard(node, "")
        asking = _asking([node for node in new if not _is_ready(node)])
        self._asked |= {answer: (node, self._looked) for answer, node in asking.items()}
        answers, late = (
            ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0) if self._asked else ([], [])
        )
        for answer in answers:
            self._heard(self._asked.pop(answer)[0], _fault(answer))
        for answer in late:
            if self._looked - self._asked[answer][1] > PATIENCE:
                self._heard(self._asked.pop(answer)[0], LATE)

    def _heard(self, node: Mapping[str, Any], fault: str) -> None:
        """Note what a node, which may have been here before, answers."""
        self._answered.add(node["NodeID"])
        self.unsuitable.pop(node["NodeManagerAddress"], None)
        if fault:
            self.unsuitable[node["NodeManagerAddress"]] = fault

    @property
    def usable(self) -> list[dict[str, Any]]:
        """The nodes that have answered, whatever it was, and do not leave."""
        return [node for node in self.alive if node["NodeID"] in self._answered and node["NodeID"] not in self.leaving]

    @property
    def unanswered(self) -> list[dict[str, Any]]:
        """The nodes of which it is not known yet whether they can run a trial."""
        return [node for node in self.alive if node["NodeID"] not in self._answered]

    def left_in_order(self, node: str) -> bool:
        """Return whether a node, by its id, is leaving or has left by order of whoever runs it."""
        if node in state.get_draining_nodes():
            return True
        return any(one["NodeID"] == node and one["DeathReason"] not in UNEXPECTED for one in ray.nodes())


def alive_nodes() -> list[dict[str, Any]]:
    """The nodes that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def unsuitable_nodes(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Ask each node; return why some cannot run a trial, by address. Raises ResourceError if none can."""
    asked = _asking([node for node in nodes if not _is_ready(node)])
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE) if asked else ([], [])
    unsuitable = {asked[answer]["NodeManagerAddress"]: LATE for answer in late}
    for answer in done:
        if why := _fault(answer):
            unsuitable[asked[answer]["NodeManagerAddress"]] = why
    if nodes and len(unsuitable) == len(nodes):
        first = next(iter(unsuitable))
        raise ResourceError(
            f"no node of the cluster can run a trial ({first}: {unsuitable[first]}); install hw2tune's packages on the "
            "nodes: a checkout or a wheel, in the environment that `ray start` runs in"
        )
    return unsuitable


def _asking(nodes: Sequence[Mapping[str, Any]]) -> dict[Any, Mapping[str, Any]]:
    missing = ray.remote(num_cpus=0, max_retries=1)(_missing)
    return {
        missing.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node
        for node in nodes
    }


def _is_ready(node: Mapping[str, Any]) -> bool:
    labels = node.get("Labels", {})
    return READY in labels or CODE in labels


def _missing() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def _fault(answer: Any) -> str:
    try:
        names = ray.get(answer)
    except ray.exceptions.RayError as error:
        return last_line(error)
    return f"its Python has no {' and no '.join(names)}" if names else ""


@cache
def package_digest() -> str:
    """Return the digest of this package's code."""
    folder = Path(__file__).parents[1]
    return code_digest({str(file.relative_to(folder)): file.read_text("utf-8") for file in folder.rglob("*.py")})
