"""Finished trainings on disk, each under a key of all that it depends on: what was trained once is not trained again.

ray_results/<name>/replicates/trainings/<key>/
    training.json    the task, the epochs, the epoch that validation chose
    weights.npz      `chosen/<parameter>`, `last/<parameter>`, and the initial norms
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hw2tune.records.atomic import write_atomically
from hw2tune.records.damaged import read_record
from hw2tune.records.replicates.files import npz, read_npz, write_json
from hw2tune.records.replicates.records import Array
from hw2tune.study.hyperparameters import Value


@dataclass(kw_only=True)
class Training:
    """One finished training: the record of each epoch (`train.loop.train_epochs`) and, if it is kept, its weights.

    `diverged` says how, and is empty otherwise. `label` (`tuned seed 3`, `race: trial 5 seed 1001`) and `params` are
    for people; earlier versions had neither. `arrays` are numpy: `chosen/<parameter>`, `last/<parameter>` and
    `initial_norms/<parameter>`.
    """

    key: str
    epochs: list[dict[str, Any]]
    chosen_epoch: int | None
    diverged: str
    label: str = ""
    params: dict[str, Value] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time spent training, validation included."""
        return float(sum(epoch["epoch_seconds"] for epoch in self.epochs))

    def weights(self, which: str) -> dict[str, Array]:
        """The `chosen` or `last` weights by parameter name."""
        return {name.removeprefix(f"{which}/"): a for name, a in self.arrays.items() if name.startswith(f"{which}/")}


def training_key(depends_on: Mapping[str, Any]) -> str:
    """Return a short digest of everything that a training depends on."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]


def write_training(folder: Path, training: Training) -> None:
    """Write a training, its record last: a kill never leaves a record without weights."""
    write_atomically(folder / training.key / "weights.npz", npz(training.arrays), durable=True)
    record = {name: value for name, value in vars(training).items() if name != "arrays"}
    write_json(folder / training.key / "training.json", record)


def read_training(folder: Path, key: str) -> Training | None:
    """Return the training of this key, or None if it is missing or damaged and must be trained again."""
    training = read_record(folder / key / "training.json", Training)
    arrays = read_npz(folder / key / "weights.npz")
    return replace(training, arrays=arrays) if training and arrays else None
