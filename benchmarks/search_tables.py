"""Learning curves of configurations that fill a study's space: `uv run python -m benchmarks.search_tables mnist-5k`.

What `benchmarks.search` replays searches on. A task is a shipped study, smaller where a whole one would take days. Its
table, `benchmarks/tables/TASK.csv.gz`, has a line for each epoch of each training: validation and test images right,
losses, seconds. Configurations are scrambled Sobol points of the study's own space (row 0, 1, ...) and its references
(rows by their names); each is trained on seed 0, as every trial of a study is; the best by validation, some at random
and the references also on seeds 1, 2, ... What a table holds is not trained again, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.design import space_filling
from benchmarks.results import write_results
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import Study

TABLES = Path("benchmarks") / "tables"
DESIGN_SEED = 15
DIGITS = 4  # of real hyperparameters, so that a table says exactly what was trained
MEASURED = (
    "epoch", "train_loss", "validation_loss", "validation_correct", "test_loss", "test_correct", "seconds"
)  # fmt: skip
Training = tuple[str, int]  # row and seed


@dataclass(frozen=True, kw_only=True)
class Task:
    """A search problem: a shipped study with `overrides`, `train` and `test` of its images (None: all)."""

    name: str
    study_name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    train: int | None = None
    test: int | None = None

    @cached_property
    def study(self) -> Study:
        """The study that is searched."""
        return parse_study(*find_study(self.study_name), overrides=self.overrides)

    @cached_property
    def path(self) -> Path:
        """The table's file."""
        return TABLES / f"{self.name}.csv.gz"


_ALL = (
    Task(name="mnist-5k", study_name="quickstart"),
    Task(name="mnist-5k-cross-entropy", study_name="quickstart", overrides={"loss": "cross_entropy"}),
    Task(
        name="cifar10-5k", study_name="cifar10", train=5_000, test=2_500,
        overrides={"max_epochs": 12, "pruner.min_epochs": 1, "validation_size": 2500},
    ),
)  # fmt: skip
TASKS = {task.name: task for task in _ALL}


def configurations(task: Task, rows: int) -> dict[str, dict[str, Value]]:
    """The first `rows` points of the task's space by row number, and its references by name."""
    drawn = space_filling(task.study.search_space, rows, seed=DESIGN_SEED)
    numbered = {str(row): {name: _rounded(value) for name, value in one.items()} for row, one in enumerate(drawn)}
    return {**task.study.references, **numbered}


def _rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS - 1}e}") if isinstance(value, float) else value


def main() -> None:
    options = _options()
    task = TASKS[options.task]
    journal = Journal(task)
    with ProcessPoolExecutor(options.workers, initializer=os.nice, initargs=(options.nice,)) as pool:
        for phase in (_first, _repeated):
            wanted = phase(task, journal, options)
            missing = [one for one in wanted if one not in journal.trainings]
            known = configurations(task, options.rows)
            calls = [(task.name, row, seed, known[row]) for row, seed in missing]
            for done, (training, lines) in enumerate(pool.map(_train, calls), start=1):
                journal.append(training, lines)
                if done % 20 == 0 or done == len(calls):
                    print(f"{task.name}: {done} of {len(calls)} trainings", flush=True)
    size = journal.pack()
    write_results(f"table-{task.name}", {"rows": options.rows, "trainings": len(journal.trainings), "bytes": size})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--rows", type=int, default=512, help="configurations besides the references")
    parser.add_argument("--best", type=int, default=48, help="of them, those that are trained on more seeds")
    parser.add_argument("--random", type=int, default=16, help="and as many at random")
    parser.add_argument("--seeds", type=int, default=4, help="seeds of the best and of the references")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--nice", type=int, default=10)
    return parser.parse_args()


def _first(task: Task, journal: Journal, options: argparse.Namespace) -> list[Training]:
    """Every configuration once, the references on all seeds."""
    known = configurations(task, options.rows)
    references = [(row, seed) for row in task.study.references for seed in range(options.seeds)]
    return references + [(row, 0) for row in known if row not in task.study.references]


def _repeated(task: Task, journal: Journal, options: argparse.Namespace) -> list[Training]:
    """The best configurations on all seeds, others on three."""
    numbered = [str(row) for row in range(options.rows)]
    best = sorted(numbered, key=lambda row: -max(journal.trainings[row, 0], default=0))[: options.best]
    others = np.random.default_rng(DESIGN_SEED).permutation([row for row in numbered if row not in best])
    more = [(row, seed) for seed in range(1, options.seeds) for row in best]
    return more + [(str(row), seed) for seed in range(1, 3) for row in others[: options.random]]


class Journal:
    """A table while it grows: a plain CSV file beside the packed one, which git does not see."""

    def __init__(self, task: Task) -> None:
        self.task, self.path = task, TABLES / f"{task.name}.csv"
        self.columns = ["row", "seed", *task.study.space, *MEASURED]
        self.trainings: dict[Training, list[int]] = {}  # validation images right, epoch by epoch
        if not self.path.exists():
            text = gzip.decompress(task.path.read_bytes()).decode() if task.path.exists() else ""
            self.path.write_text(text or ",".join(self.columns) + "\n")
        for line in csv.DictReader(self.path.open()):
            right = self.trainings.setdefault((line["row"], int(line["seed"])), [])
            right += [int(line["validation_correct"])] if line["validation_correct"] else []

    def append(self, training: Training, lines: Sequence[Mapping[str, Any]]) -> None:
        """Adds a whole training in one write."""
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(lines)
        with self.path.open("a") as file:
            file.write(text.getvalue())
        self.trainings[training] = [line["validation_correct"] for line in lines if line["validation_correct"] != ""]

    def pack(self) -> int:
        """Writes the table, trainings in order, and returns its size in bytes."""
        lines = list(csv.DictReader(self.path.open()))
        lines.sort(
            key=lambda line: (int(line["seed"]), line["row"].isdigit(), line["row"].zfill(6), int(line["epoch"]))
        )
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        self.task.path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        return self.task.path.stat().st_size


def _train(call: tuple[str, str, int, dict[str, Value]]) -> tuple[Training, list[dict[str, Any]]]:
    """In a worker: one training, a line an epoch; one that diverges ends with a line without images right."""
    name, row, seed, configuration = call
    task = TASKS[name]
    lines = []
    for measured in curve(task, configuration, seed):
        lines.append({"row": row, "seed": seed, **configuration, **measured})
    return (row, seed), lines


def curve(task: Task, configuration: Mapping[str, Value], seed: int) -> Iterator[dict[str, Any]]:
    """Trains one configuration as the study would, and yields what MEASURED names, epoch by epoch."""
    from hw2tune.train.loop import DivergedError, evaluated, predict, train_epochs
    from hw2tune.train.metrics import LOSSES
    from hw2tune.train.state import new_state
    from hw2tune.train.task import Blueprint

    study, (data, test, device) = task.study, loaded(task.name)
    hyperparameters = Hyperparameters.of(study.complete(configuration))
    state = new_state(Blueprint(model=study.model), hyperparameters, seed=seed, device=device)
    try:
        for epoch in train_epochs(state, hyperparameters, data, loss=study.loss, max_epochs=study.max_epochs):
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

    task = TASKS[name]
    device = prepare_process(1, gpu=torch.cuda.is_available())
    data = load_dataset(task.study.dataset, validation_size=task.study.validation_size)
    data = replace(data, train=_some(data.train, task.train), test=_some(data.test, task.test))
    train, validation, test = (on_device(one, data.info, device) for one in (data.train, data.validation, data.test))
    return TrainingData(train=train, validation=validation, info=data.info), test, device


def _some(split: Any, count: int | None) -> Any:
    """The first `count` images of an order drawn once."""
    return split if count is None else split.take(np.random.default_rng(DESIGN_SEED).permutation(len(split))[:count])


if __name__ == "__main__":
    main()
