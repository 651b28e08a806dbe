"""The key of a training: a digest of everything that its result depends on."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING

from hw2tune.execution.resources import Capacity
from hw2tune.records.replicates.trainings import training_key
from hw2tune.study.task import Task
from hw2tune.user_code.files import code_digest

if TYPE_CHECKING:
    from hw2tune.data.dataset import Dataset


def key_of(task: Task, data: Dataset, capacity: Capacity, **more: str) -> str:
    """A digest of everything that a training depends on: the same key, the same training."""
    depends_on = {
        "task": asdict(task) | {"hyperparameters": task.hyperparameters.as_dict(), "code": code_digest(task.code)},
        "data": data.checksum,
        "split": data.split_checksum,
        "normalisation": [data.info.mean, data.info.std],
        "code": training_code(),
        "torch": metadata.version("torch"),
        "device": "cuda" if capacity.gpus_per_trial else "cpu",  # the two draw different dropout from one seed
    }
    return training_key(depends_on | more)


@cache
def training_code() -> str:
    """A digest of the source of what trains: a training of other code is another training."""
    digest = hashlib.sha256()
    own = [*resources.files("hw2tune.train").iterdir(), resources.files("hw2tune").joinpath("networks.py")]
    for path in sorted(own, key=lambda path: path.name):
        if path.name.endswith(".py"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
