"""The key of a training: a digest of everything that its result depends on."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from hw2tune.records.replicates import training_key
from hw2tune.resources import Capacity
from hw2tune.train.task import Task
from hw2tune.user_code.files import code_digest, code_reference, is_code

if TYPE_CHECKING:
    from hw2tune.data.dataset import Dataset

# Of the code that trains. Raise it (any other text will do) where a change of code or of a default value changes a
# result: tests/train/test_golden_curves.py says so. The first is the digest that 83dc8fd made of its source files.
TRAINING_VERSION = "0fe5ec21ca306c67"


def key_of(task: Task, data: Dataset, capacity: Capacity, **more: str) -> str:
    """Return a digest of everything that a training depends on: the same key, the same training."""
    depends_on = {
        "task": asdict(task) | {"hyperparameters": task.hyperparameters.as_dict(), "code": code_digest(task.code)},
        "data": data.checksum,
        "split": data.split_checksum,
        "normalisation": [data.info.mean, data.info.std],
        "code": TRAINING_VERSION,
        "torch": metadata.version("torch"),
        "device": "cuda" if capacity.gpus_per_trial else "cpu",  # the two draw different dropout from one seed
    }
    return training_key(depends_on | _versions(task) | more)


def _versions(task: Task) -> dict[str, dict[str, str]]:
    """Return the versions of the installed packages of a network and an objective.

    Python files of the study are in the key themselves, and a version of torchvision belongs to one of torch.
    """
    named = [code_reference(text) for text in (task.model, task.objective) if is_code(text)]
    modules = {one.module.partition(".")[0] for one in named if one.file is None} - {"torchvision"}
    if not modules:
        return {}
    names = sorted({name for module in modules for name in _distributions().get(module, ())})
    return {"packages": {name: metadata.version(name) for name in names}}


_distributions = cache(metadata.packages_distributions)  # reading them takes a tenth of a second
