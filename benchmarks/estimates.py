"""The epoch that `check` estimates, beside real epochs: `uv run python -m benchmarks.estimates`.

Of each study as many processes as it has slots train at the same time with each of its batch sizes in turn, for a
second and one epoch at least, on IMAGES of its real images. In each round the estimates come first, within minutes of
the epochs: `nominal` by a table of one idle machine, as without `hw2tune doctor --machine`, and `measured` with it; a
network of one's own is measured by `check` itself. The machine may be busy: its load and the part of a processor that
a slot got are written down.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.results import print_table, write_results
from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners
from hw2tune.execution.machine import this_machine
from hw2tune.execution.preflight import configurations, drawn_batch_sizes, model_facts
from hw2tune.execution.request import load_for
from hw2tune.execution.speeds import kept_speeds, measure_machine
from hw2tune.resources import ResourceRequest, find_capacity
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.names import MODELS
from hw2tune.study.schema import Study
from hw2tune.study.template import new_study
from hw2tune.train.task import TrialData, task_of

STUDIES = ("quickstart", "mnist", "cifar10", "own.toml")
IMAGES = {"train_size": 2000, "validation_size": 500}
ROUNDS = 5
SECONDS = 1.0  # of a batch size's epochs
ROOT = Path(__file__).parents[1]


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        _train(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        os.environ["HW2TUNE_CACHE"] = f"{place}/cache"
        new_study("own")
        rounds = [_round(number) for number in range(ROUNDS)]
    rows = [_row(name, [one[name] for one in rounds]) for name in STUDIES]
    os.chdir(ROOT)
    write_results("estimates", {"images": IMAGES, "rows": rows, "rounds": rounds})
    print_table(rows)


def _round(number: int) -> dict[str, Any]:
    measure_machine()
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    for name in STUDIES:
        found[name] = _compared(name)
        print(number, name, found[name], file=sys.stderr, flush=True)
    return found


def _studied(name: str) -> tuple[Study, Dataset]:
    study = parse_study(*find_study(name), overrides={} if name.endswith(".toml") else IMAGES)
    return study, load_for(study, None, Listeners())


def _compared(name: str) -> dict[str, Any]:
    """Seconds of an epoch as estimated and real, a mean over the batch sizes, and the share of a processor measured."""
    study, data = _studied(name)
    slots = find_capacity([this_machine()], ResourceRequest())
    sizes = (len(data.train), len(data.validation), drawn_batch_sizes(study))
    known = MODELS.get(study.model)
    return {
        "nominal": known and known.nominal.epoch_seconds(*sizes),
        "measured": model_facts(study, data, at=slots).epoch_seconds,
        "real": _real(name, slots.concurrency),
        "share": next((one.share for one in kept_speeds() if one.model == study.model), None),
    }


def _real(name: str, slots: int) -> float:
    command = [sys.executable, "-m", "benchmarks.estimates", "--train", name]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, env=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(slots)
    ]
    for one in processes:
        assert one.stdout and one.stdout.readline()  # it is ready
    for one in processes:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    return statistics.fmean(float(one.communicate()[0]) for one in processes)


def _train(name: str) -> None:
    """In a process: of each batch size an epoch that warms up, then those that count; print their mean in seconds."""
    from hw2tune.train.trainer import Trainer

    study, data = _studied(name)
    trainer = Trainer(TrialData(info=data.info, train=data.train, validation=data.validation), threads=1, gpu=False)
    sizes = drawn_batch_sizes(study)
    chosen = replace(configurations(study)[0], learning_rate=1e-4)
    sessions = {size: trainer.open(task_of(study, replace(chosen, batch_size=size), 0)) for size in sorted(set(sizes))}
    for session in sessions.values():
        session.step()
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = {}
    for size, session in sessions.items():
        began, epochs = time.perf_counter(), 0
        while not epochs or (time.perf_counter() - began < SECONDS and not session.finished):
            session.step()
            epochs += 1
        seconds[size] = (time.perf_counter() - began) / epochs
    print(statistics.fmean(seconds[size] for size in sizes))


def _row(name: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "study": name.removesuffix(".toml"),
        "real s": round(statistics.median(one["real"] for one in rounds), 2),
    }
    for estimate in ("nominal", "measured"):
        ratios = [one[estimate] / one["real"] for one in rounds if one[estimate]]  # no table has an own network
        row[f"{estimate} / real"] = f"{statistics.median(ratios):.2f}" if ratios else "-"
        row[f"{estimate}, each"] = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    return row


if __name__ == "__main__":
    main()
