"""Search problems of the benchmarks: a study, the points of its space that a table holds, and one training of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.design import space_filling
from hw2tune.data.own import OwnOptions
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import Study
from hw2tune.user_code.files import is_own

TABLES = Path("benchmarks") / "tables"
IMAGES_SEED = 15  # of the images that a task takes of more
DIGITS = 4  # of real hyperparameters, so that a table says exactly what was trained
MEASURED = (
    "epoch", "train_loss", "validation_loss", "validation_correct", "test_loss", "test_correct", "seconds"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Task:
    """A search problem: a study with `overrides`, and `train` and `test` of its images (None: all).

    Its table has `rows` Sobol points, each trained on the seeds below `everywhere`; a search sees one of these seeds.
    The `best` of each `block` of rows by validation, and the references, are trained on all `seeds`, and as many as
    `random` others on three: those seeds choose nothing.
    """

    name: str
    study_name: str  # of a shipped study, or the path of a study file
    validation_images: int
    test_images: int
    overrides: dict[str, Any] = field(default_factory=dict)
    train: int | None = None
    test: int | None = None
    rows: int = 512
    block: int = 4096
    design_seed: int = 15
    everywhere: int = 1
    best: int = 48
    random: int = 16
    seeds: int = 4
    folder: Path = TABLES

    @cached_property
    def study(self) -> Study:
        """The study that is searched."""
        return parse_study(*find_study(self.study_name), overrides=self.overrides)

    @property
    def path(self) -> Path:
        """The table's file."""
        return self.folder / f"{self.name}.csv.gz"


_ALL = (
    Task(name="mnist-5k", study_name="quickstart", validation_images=500, test_images=500),
    Task(
        name="mnist-5k-cross-entropy", study_name="quickstart", validation_images=500, test_images=500,
        overrides={"loss": "cross_entropy"}, rows=192, best=16, random=4, seeds=3,
    ),
    Task(
        name="cifar10-5k", study_name="cifar10", validation_images=2500, test_images=2500, train=5_000, test=2_500,
        overrides={"max_epochs": 12, "pruner.min_epochs": 1, "validation_size": 2500},
        rows=147, best=16, random=4, seeds=2,
    ),
    Task(
        name="digits-schedules", study_name="benchmarks/tasks/digits-schedules.toml", validation_images=500,
        test_images=697, rows=1024, block=512, design_seed=25, everywhere=2, best=32, random=0, seeds=5,
    ),
)  # fmt: skip
TASKS = {task.name: task for task in _ALL}


def configurations(task: Task, rows: int) -> dict[str, dict[str, Value]]:
    """The first `rows` points of the task's space by row number, and its references by name."""
    drawn = space_filling(task.study.search_space, rows, seed=task.design_seed)
    numbered = {str(row): {name: _rounded(value) for name, value in one.items()} for row, one in enumerate(drawn)}
    return {**task.study.references, **numbered}


def _rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS - 1}e}") if isinstance(value, float) else value


def curve(task: Task, configuration: Mapping[str, Value], seed: int) -> Iterator[dict[str, Any]]:
    """Trains one configuration as the study would, and yields what MEASURED names, epoch by epoch.

    A training that diverges ends with an epoch that has a number alone.
    """
    from hw2tune.train.loop import DivergedError, evaluated, predict, train_epochs
    from hw2tune.train.metrics import LOSSES
    from hw2tune.train.state import new_state
    from hw2tune.train.task import task_of

    study, (data, test, device) = task.study, loaded(task.name)
    one = task_of(study, Hyperparameters.of(study.complete(configuration)), seed)
    state = new_state(one.blueprint(data.info), one.hyperparameters, seed=seed, device=device)
    try:
        for epoch in train_epochs(state, one.hyperparameters, data, loss=study.loss, max_epochs=study.max_epochs):
            test_loss, test_accuracy = evaluated(predict(state.model, test), test, LOSSES[study.loss])
            yield {
                "epoch": epoch["epoch"],
                "train_loss": f"{epoch['train_loss']:.5g}",
                "validation_loss": f"{epoch['validation_loss']:.5g}",
                "validation_correct": round(epoch["validation_accuracy"] * len(data.validation)),
                "test_loss": f"{test_loss:.5g}",
                "test_correct": round(test_accuracy * len(test)),
                "seconds": f"{epoch['epoch_seconds']:.3g}",
            }
    except DivergedError:
        yield {"epoch": state.epoch + 1, **dict.fromkeys(MEASURED[1:], "")}


@cache
def loaded(name: str) -> tuple[Any, Any, Any]:
    """Training and validation images, test images and device of a task, once a process."""
    import torch

    from hw2tune.data.load import load_dataset
    from hw2tune.train.device import TrainingData, on_device, prepare_process

    task, study = TASKS[name], TASKS[name].study
    device = prepare_process(1, gpu=torch.cuda.is_available())
    own = OwnOptions(code=study.code) if is_own(study.dataset) else None
    data = load_dataset(study.dataset, validation_size=study.validation_size, own=own)
    data = replace(data, train=_some(data.train, task.train), test=_some(data.test, task.test))
    assert (len(data.validation), len(data.test)) == (task.validation_images, task.test_images)
    train, validation, test = (on_device(one, data.info, device) for one in (data.train, data.validation, data.test))
    return TrainingData(train=train, validation=validation, info=data.info), test, device


def _some(split: Any, count: int | None) -> Any:
    """The first `count` images of an order drawn once."""
    return split if count is None else split.take(np.random.default_rng(IMAGES_SEED).permutation(len(split))[:count])
