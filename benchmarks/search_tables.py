"""Learning curves of configurations that fill a study's space: `uv run python -m benchmarks.search_tables mnist-5k`.

What `benchmarks.search` replays searches on. The table of a task (see `benchmarks.search_tasks`),
`benchmarks/tables/TASK.csv.gz`, has a line for each epoch of each training: validation and test images right, losses,
seconds. Configurations are scrambled Sobol points of the study's own space (row 0, 1, ...) and its references (rows by
their names). What a table holds is not trained again: the same command goes on after any end, `kill -9` included.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np

from benchmarks.results import write_results
from benchmarks.search_tasks import MEASURED, TASKS, Task, configurations, curve
from hw2tune.records.atomic import write_atomically
from hw2tune.study.hyperparameters import Value

Training = tuple[str, int]  # row and seed


def main() -> None:
    options = _options()
    task = TASKS[options.task]
    journal = Journal(task)
    with ProcessPoolExecutor(options.workers, initializer=_begin, initargs=(options.nice, os.getpid())) as pool:
        for first in range(0, options.rows or task.rows, task.block):
            rows = range(first, min(first + task.block, options.rows or task.rows))
            for phase in (everywhere, repeated):
                _train_all(task, journal, phase(task, journal, rows), pool)
            size = journal.pack()
    write_results(f"table-{task.name}", {"rows": rows.stop, "trainings": len(journal.trainings), "bytes": size})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--rows", type=int, help="configurations besides the references; default: the task's own")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--nice", type=int, default=10)
    return parser.parse_args()


def _begin(nice: int, parent: int) -> None:
    """In a worker: be polite, and end with the parent, which may be killed."""
    os.nice(nice)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def everywhere(task: Task, journal: Journal, rows: range) -> list[Training]:
    """The references on all seeds, and each row on those that all rows have."""
    references = [(row, seed) for row in task.study.references for seed in range(task.seeds)]
    return references + [(str(row), seed) for row in rows for seed in range(task.everywhere)]


def repeated(task: Task, journal: Journal, rows: range) -> list[Training]:
    """The best rows of a block on all seeds, others at random on three."""
    numbered = [str(row) for row in rows]

    def value(row: str) -> int:
        """Most validation images right; a training that diverged has no value."""
        seen = [journal.trainings[row, seed] for seed in range(task.everywhere)]
        return max((max(right) for right in seen if len(right) == task.study.max_epochs), default=0)

    best = sorted(numbered, key=lambda row: -value(row))[: task.best]
    others = np.random.default_rng(task.design_seed).permutation([row for row in numbered if row not in best])
    more = [(row, seed) for seed in range(task.everywhere, task.seeds) for row in best]
    return more + [(str(row), seed) for seed in range(task.everywhere, 3) for row in others[: task.random]]


def _train_all(task: Task, journal: Journal, wanted: Sequence[Training], pool: ProcessPoolExecutor) -> None:
    missing, known = [one for one in wanted if one not in journal.trainings], configurations(task, task.rows)
    calls = [pool.submit(_train, task.name, row, seed, known[row]) for row, seed in missing]
    for done, call in enumerate(as_completed(calls), start=1):
        journal.append(*call.result())
        if done % 20 == 0 or done == len(calls):
            print(f"{task.name}: {done} of {len(calls)} trainings", flush=True)


class Journal:
    """A table while it grows: a plain CSV file beside the packed one, which git does not see."""

    def __init__(self, task: Task) -> None:
        self.task, self.path = task, task.path.with_suffix("")
        self.columns = ["row", "seed", *task.study.space, *MEASURED]
        self.trainings: dict[Training, list[int]] = {}  # validation images right, epoch by epoch
        if not self.path.exists():
            text = gzip.decompress(task.path.read_bytes()).decode() if task.path.exists() else ""
            write_atomically(self.path, text or ",".join(self.columns) + "\n")
        whole = list(self._whole(self.path.read_text()))
        for training, lines in whole:
            self.trainings[training] = _right(lines)
        write_atomically(self.path, self._text([line for _, lines in whole for line in lines]))

    def _whole(self, text: str) -> Iterator[tuple[Training, list[dict[str, str]]]]:
        """The trainings that are there to their end: a kill may tear the last one."""
        found: dict[Training, list[dict[str, str]]] = {}
        for line in csv.DictReader(text[: text.rfind("\n") + 1].splitlines()):
            found.setdefault((line["row"], int(line["seed"])), []).append(line)
        for training, lines in found.items():
            if len(lines) == self.task.study.max_epochs or not lines[-1]["validation_correct"]:
                yield training, lines

    def _text(self, lines: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return text.getvalue()

    def append(self, training: Training, lines: Sequence[Mapping[str, Any]]) -> None:
        """Adds a whole training in one write."""
        with self.path.open("a") as file:
            file.write(self._text(lines).partition("\n")[2])
        self.trainings[training] = _right(lines)

    def pack(self) -> int:
        """Writes the table, trainings in order, and returns its size in bytes."""
        lines = list(csv.DictReader(self.path.read_text().splitlines()))
        lines.sort(
            key=lambda line: (int(line["seed"]), line["row"].isdigit(), line["row"].zfill(6), int(line["epoch"]))
        )
        packed = gzip.compress(self._text(lines).encode(), mtime=0)
        write_atomically(self.task.path, packed)
        return len(packed)


def _right(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    return [int(line["validation_correct"]) for line in lines if line["validation_correct"] != ""]


def _train(name: str, row: str, seed: int, configuration: dict[str, Value]) -> tuple[Training, list[dict[str, Any]]]:
    """In a worker: one training, a line an epoch; one that diverges ends with a line without images right."""
    task = TASKS[name]
    lines = [{"row": row, "seed": seed, **configuration, **one} for one in curve(task, configuration, seed)]
    return (row, seed), lines


if __name__ == "__main__":
    main()
