"""What a study costs its driver as it grows: `uv run python -m benchmarks.scale`.

Searcher, stopper and ledger are called in the order of Ray 2.60's TuneController for trials that train nothing: each
reports epochs at once, with a checkpoint of the real size, and ends as the pruner says. Everything of the driver's
that is hw2tune's runs and is written to disk; Ray itself is left out (`benchmarks.scale --ray` runs it, with real
actors, at a concurrency that the memory of this machine can hold). Printed: results a second, seconds a trial for
each thousand trials, the memory of the driver, and what `status` and the report's reading side take afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from hw2tune.records.checkpoints import DIGEST, digest
from hw2tune.records.folder import StudyFolder
from hw2tune.records.storage import create_optuna_study
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.schema import Study
from hw2tune.tune.deciding import build_pruner, build_sampler
from hw2tune.tune.faults import Faults
from hw2tune.tune.ledger import Ledger
from hw2tune.tune.messages import CHECKPOINT
from hw2tune.tune.observer import Observer
from hw2tune.tune.room import Wish, room
from hw2tune.tune.searcher import StudySearch
from hw2tune.tune.stopper import StudyStopper

CHECKPOINT_BYTES = 285_565  # the MNIST network's with Adam
BLOCK = 1000  # trials


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, nargs="*", default=[1_000, 10_000])
    options.add_argument("--concurrency", type=int, nargs="*", default=[64, 512])
    arguments = options.parse_args()
    rows = []
    for trials in arguments.trials:
        for concurrency in arguments.concurrency:
            # A process each: memory is then the study's own.
            code = f"from benchmarks.scale import measured; measured({trials}, {concurrency})"
            shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            rows.append(json.loads(shown.stdout.splitlines()[-1]))
            print(json.dumps(rows[-1], indent=1), flush=True)


def measured(trials: int, concurrency: int) -> None:
    """Runs one simulated study and prints its row as JSON."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder = StudyFolder(Path(place) / "ray_results" / "quickstart")
        study = parse_study(*find_study("quickstart"), overrides={"trials": trials})
        folder.root.mkdir(parents=True)
        folder.study_file.write_text(dump_study(study))
        started = time.perf_counter()
        blocks, results, memory = simulate(study, folder, concurrency)
        seconds = time.perf_counter() - started
        row = {
            "trials": trials,
            "concurrent": concurrency,
            "results_per_second": round(results / seconds, 1),
            "milliseconds_per_trial": [round(1000 * block / BLOCK, 2) for block in blocks],
            "last_block_over_first": round(blocks[-1] / blocks[0], 3),
            "driver_mib_by_block": memory,
            "status_seconds": timed(place, "status", "quickstart"),
            "status_all_seconds": timed(place, "status"),
            "reopen_seconds": reopened(study, folder),
        }
    print(json.dumps(row))


def simulate(study: Study, folder: StudyFolder, concurrency: int) -> tuple[list[float], int, list[int]]:
    """Seconds of each thousand finished trials, the number of results, and the driver's memory in MiB behind each."""
    optuna_study = create_optuna_study(folder, study)
    ledger = Ledger(study, optuna_study, folder, Observer())
    ledger.enqueue_published()
    optuna_study.sampler, optuna_study.pruner = build_sampler(study, 0), build_pruner(study)
    search = StudySearch(ledger, Faults(retries=2), room=room([{"CPU": float(concurrency)}], Wish()))
    stopper = StudyStopper(search)
    chance = random.Random(0)
    content = os.urandom(CHECKPOINT_BYTES)
    known = digest(content)
    running: list[tuple[str, float, int]] = []  # Tune's id, how good the configuration is, epochs so far
    blocks: list[float] = []
    memory: list[int] = []
    results = finished = given = 0
    since = time.perf_counter()
    while True:
        while len(running) < concurrency and given < study.trials:
            suggestion = search.suggest(str(given))
            assert isinstance(suggestion, dict)
            running.append((str(given), goodness(suggestion["hyperparameters"], chance), 0))
            given += 1
        if not running:
            return blocks, results, memory
        name, good, epoch = running.pop(chance.randrange(len(running)))
        result = epoch_result(epoch + 1, good, study, chance) | {CHECKPOINT: content, DIGEST: known}
        results += 1
        if not stopper(name, result):
            running.append((name, good, epoch + 1))
            continue
        search.on_trial_complete(name, result)
        finished += 1
        if finished % BLOCK == 0:
            blocks.append(time.perf_counter() - since)
            memory.append(psutil.Process().memory_info().rss // 2**20)
            since = time.perf_counter()


def goodness(params: dict[str, Any], chance: random.Random) -> float:
    """A landscape with one best learning rate, so that sampler and pruner have something to find."""
    distance = abs(float(params["learning_rate"]) - 0.004) / 0.1
    return max(0.1, 0.95 - distance + chance.gauss(0, 0.02))


def epoch_result(epoch: int, good: float, study: Study, chance: random.Random) -> dict[str, Any]:
    accuracy = good * (1 - 0.5**epoch) + chance.gauss(0, 0.005)
    return {
        "epoch": epoch, "train_loss": 1 - accuracy, "train_accuracy": accuracy, "validation_loss": 1 - accuracy,
        "validation_accuracy": accuracy, "train_seconds": 0.3, "epoch_seconds": 0.35, "images_per_second": 12_000.0,
        "done": epoch >= study.max_epochs, "node_ip": "a",
    }  # fmt: skip


def timed(place: str, *command: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hw2tune", *command], cwd=place, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - started, 2)


def reopened(study: Study, folder: StudyFolder) -> float:
    """Seconds until the same command would know that nothing is left to do."""
    started = time.perf_counter()
    ledger = Ledger(study, create_optuna_study(folder, study), folder, Observer())
    assert not ledger.unfinished
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
