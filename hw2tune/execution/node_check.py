"""Which nodes of a cluster can run a trial: asked of each before a study starts on it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hw2tune.errors import ResourceError
from hw2tune.text.plain import last_line

NEEDED = ("torch", "optuna", "numpy")  # in a worker; hw2tune itself travels there
PATIENCE = 120  # seconds for a node to start a process and answer


def unsuitable_nodes(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Why nodes cannot run a trial, by address. Raises ResourceError where none can."""
    asked = {
        ray.remote(num_cpus=0, max_retries=1)(_missing)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(): str(node["NodeManagerAddress"])
        for node in nodes
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE)
    unsuitable = {asked[answer]: f"it did not answer within {PATIENCE} s" for answer in late}
    for answer in done:
        try:
            missing = ray.get(answer)
        except ray.exceptions.RayError as error:
            unsuitable[asked[answer]] = last_line(error)
        else:
            if missing:
                unsuitable[asked[answer]] = f"its Python has no {' and no '.join(missing)}"
    if len(unsuitable) == len(nodes):
        first = next(iter(unsuitable))
        raise ResourceError(
            f"no node of the cluster can run a trial ({first}: {unsuitable[first]}); install hw2tune's packages on the "
            "nodes: a checkout or a wheel, in the environment that `ray start` runs in"
        )
    return unsuitable


def _missing() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]
