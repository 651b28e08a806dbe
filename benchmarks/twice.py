"""The same study several times in virtual order, on a real Ray: `uv run python -m benchmarks.twice --keep FOLDER`.

Two studies, each with 1, 2 and 4 slots, three times. In all of them workers are stopped for up to two seconds now and
then, at random. Every third is also ended by SIGKILL at a random epoch and continued. The records of every trial must
be equal but for times. Exit code 1 if they are not.

`--price` runs the searches in virtual order and in order of arrival in turns, on as many slots as there are processors,
and nothing else. The machine must be idle.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chaos import epochs_on_disk, workers
from benchmarks.processes import run_measured
from benchmarks.records import read_ours
from benchmarks.results import print_table, write_results
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.epochs import read_epochs

OWN = Path(__file__).parent / "tasks" / "digits-schedules.toml"
STUDIES = {"quickstart": ("quickstart",), "digits-schedules": (str(OWN), "--trials", "16")}
SLOTS, RUNS = (1, 2, 4), 3
ORDERS = ("arrival", "virtual")
OF_THE_MOMENT = ("seconds", "per_second", "pid", "hostname", "node_ip", "date", "time", "trial_id", "iteration")
STOPPED = 2.0  # seconds at most
AT_MOST = 1800  # seconds for a study
KILLED_AT = (3, 20)  # epochs on disk


def records(folder: StudyFolder) -> list[tuple[Any, ...]]:
    """Every trial with its epochs, but for times, places and Ray's count of epochs since a process began."""
    found = []
    for row in read_overview(folder).rows:
        epochs = [
            {key: value for key, value in line.items() if not any(part in key for part in OF_THE_MOMENT)}
            for line in read_epochs(folder.trial(row.number))
        ]
        found.append((row.number, row.state, row.reason, row.epochs, row.value, row.best_epoch, row.params, epochs))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keep", type=Path, required=True, help="where the studies are; finished ones stay")
    options.add_argument("--price", type=int, metavar="ROUNDS", help="pairs of searches, of both orders")
    arguments = options.parse_args()
    keep = arguments.keep.resolve()
    if arguments.price:
        price(keep, arguments.price)
        return
    rows = [compared(keep, name, slots) for name in STUDIES for slots in SLOTS]
    print_table(rows)
    write_results("twice", {"killed_at_epochs": KILLED_AT, "stopped_seconds_at_most": STOPPED, "rows": rows})
    sys.exit(not all(row["equal"] for row in rows))


def compared(keep: Path, name: str, slots: int) -> dict[str, Any]:
    """Run one study three times, unless it is there already, and hold the records against each other."""
    found, kills, stops = [], 0, 0
    for run in range(RUNS):
        results, done = keep / f"{name}-{slots}-{run}", keep / f"{name}-{slots}-{run}.done"
        if not done.exists():
            shutil.rmtree(results, ignore_errors=True)
            chance = random.Random(f"{name} {slots} {run}")
            done.write_text(" ".join(map(str, disturbed(name, slots, results, chance, kill=run == RUNS - 1))))
        killed, stopped = map(int, done.read_text().split())
        kills, stops = kills + killed, stops + stopped
        found.append(records(StudyFolder(results / name)))
        print(
            f"{name}, {slots} slots, run {run + 1}: {len(found[-1])} trials, equal {found[-1] == found[0]}", flush=True
        )
    epochs = sum(row[3] for row in found[0])
    return {
        "study": name, "slots": slots, "runs": RUNS, "trials": len(found[0]), "epochs": epochs, "stops": stops,
        "kills": kills, "equal": all(each == found[0] for each in found),
    }  # fmt: skip


def disturbed(name: str, slots: int, results: Path, chance: random.Random, *, kill: bool) -> tuple[int, int]:
    """Run a study to its end, with workers that stop now and then. Kills of the driver and stops of workers."""
    command = [
        sys.executable, "-m", "hw2tune", "study", *STUDIES[name], "--order", "virtual", "--slots", str(slots),
        "--results-dir", str(results), "--concurrency", str(min(slots, os.cpu_count() or 1)), "--quiet",
    ]  # fmt: skip
    folder, stops, kills = StudyFolder(results / name), 0, 0
    kill_at = chance.randint(*KILLED_AT) if kill else None
    deadline = time.monotonic() + AT_MOST
    while True:
        driver = subprocess.Popen(command, start_new_session=True)
        while driver.poll() is None:
            assert time.monotonic() < deadline, f"{name} takes more than {AT_MOST} s"
            time.sleep(chance.uniform(0, 4))
            if kill_at is not None and epochs_on_disk(folder) >= kill_at:
                os.killpg(driver.pid, signal.SIGKILL)
                kill_at, kills = None, kills + 1
            else:
                stops += stopped_for_a_while(driver, chance)
        if driver.returncode != -signal.SIGKILL:
            assert driver.returncode == 0, (command, driver.returncode)
            assert kill_at is None, f"{name} was complete before epoch {kill_at}"
            return kills, stops


def stopped_for_a_while(driver: subprocess.Popen[bytes], chance: random.Random) -> int:
    """Stop one of the processes that train, if there is one, and let it go on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if victims := workers(driver):
            victim = chance.choice(victims)
            victim.suspend()
            threading.Timer(chance.uniform(0, STOPPED), _resume, [victim]).start()
            return 1
    return 0


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


def price(keep: Path, rounds: int) -> None:
    """Seconds of both orders, in turns, on new study seeds."""
    rows: list[dict[str, Any]] = []
    for name in STUDIES:
        for seed in range(100, 100 + rounds):
            for order in ORDERS if seed % 2 else reversed(ORDERS):
                rows.append({"study": name, "seed": seed, "order": order} | timed(keep, name, seed, order))
                print(rows[-1], flush=True)
    medians = [ratios([row for row in rows if row["study"] == name]) for name in STUDIES]
    print_table(medians)
    write_results("twice-price", {"medians": medians, "runs": rows})


def timed(keep: Path, name: str, seed: int, order: str) -> dict[str, float]:
    """Seconds of the command and, within them, from the first epoch's start to the last one's end; epochs recorded."""
    results = keep / f"price-{name}-{seed}-{order}"
    shutil.rmtree(results, ignore_errors=True)
    keep.mkdir(parents=True, exist_ok=True)
    ran = run_measured(
        [
            sys.executable, "-m", "hw2tune", "study", *STUDIES[name], "--seed", str(seed), "--order", order,
            "--results-dir", str(results), "--quiet",
        ],
        environment=os.environ, cwd=keep, log=keep / "price.log",
    )  # fmt: skip
    trials = read_ours(results)
    return {
        "command": ran.seconds,
        "search": max(trial.end for trial in trials) - min(trial.start for trial in trials),
        "epochs": sum(trial.epochs for trial in trials),
    }


def ratios(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Virtual order to order of arrival, medians over the seeds."""
    arrival, virtual = ({row["seed"]: row for row in runs if row["order"] == order} for order in ORDERS)

    def median(of: Callable[[dict[str, Any]], float]) -> str:
        found = sorted(of(virtual[seed]) / of(row) for seed, row in arrival.items())
        return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"

    return {
        "study": runs[0]["study"], "pairs": len(arrival), "command": median(lambda row: row["command"]),
        "search": median(lambda row: row["search"]),
        "search per epoch": median(lambda row: row["search"] / row["epochs"]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
