"""What it costs to save networks of 0.03 to 45 million parameters: `uv run python -m benchmarks.checkpoints`.

Two trials at once, of a network of two hidden layers on 2,000 images of MNIST, trained to the end by `hw2tune study`.
Seconds from epoch to epoch are those between the lines of `result.json`, as they appear. With `--before FOLDER`, a
checkout of another version with an environment of its own, both versions run in turns. `--kill` ends a worker, and in a
further run the driver, by SIGKILL behind the first checkpoint; both continue, and the records must be those of the
undisturbed run. Exit code 1 if they are not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.results import print_table, write_results
from benchmarks.twice import records
from hw2tune.records.layout import StudyFolder
from hw2tune.records.leftovers import size_of
from hw2tune.records.trials.epochs import DIGEST, read_epochs

# Millions -> width, epochs, and epochs of another version, which may take a minute for each. Enough for a checkpoint
# before the end, which a large network has after some four minutes.
SIZES = {"0.03": (37, 60, 60), "1": (700, 60, 60), "11": (2950, 45, 6), "45": (6330, 40, 6)}
NET = Path(__file__).parent / "tasks" / "wide_net.py"
STUDY = """
name = "wide"
dataset = "mnist-5k"
model = "wide_net.py:Net"
train_size = 2000
validation_size = 500
max_epochs = {epochs}
trials = 2
sampler = "random"
pruner = "none"
training = {{ batch_size = 128, optimizer = "adam", "model.width" = {width} }}
[space]
learning_rate = {{ low = 1e-4, high = 1e-3, log = true }}
[references.slow]
learning_rate = 1e-4
[references.fast]
learning_rate = 1e-3
"""
EVERY = 0.02  # seconds from one look at the files to the next


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--before", type=Path, help="a checkout of another version")
    options.add_argument("--keep", type=Path, required=True, help="where the studies are; finished ones stay")
    options.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    options.add_argument("--epochs", type=int, help="fewer epochs")
    options.add_argument("--kill", nargs="*", choices=SIZES, default=[], help="sizes of which processes are killed")
    arguments = options.parse_args()
    versions = {"now": Path(sys.executable)}
    if arguments.before is not None:
        versions["before"] = arguments.before / ".venv" / "bin" / "python"
    rows, equal = [], True
    for size in arguments.sizes:
        for version, python in versions.items():
            epochs = arguments.epochs or SIZES[size][1 if version == "now" else 2]
            rows.append(measured(arguments.keep.resolve(), version, python, size, epochs))
            print(rows[-1], flush=True)
        for whom in ("worker", "driver") if size in arguments.kill else ():
            same = killed(arguments.keep.resolve(), size, arguments.epochs, whom)
            rows[-len(versions)][f"{whom} killed"] = "equal" if same else "DIFFERENT"
            equal &= same
            print(f"{size}: {whom} killed, equal {same}", flush=True)
    print_table(rows)
    write_results("checkpoints", {"rows": rows})
    sys.exit(not equal)


def started(place: Path, python: Path, size: str, epochs: int | None) -> subprocess.Popen[bytes]:
    """Start the study, or continue it."""
    width, whole, _ = SIZES[size]
    place.mkdir(parents=True, exist_ok=True)
    (place / "wide_net.py").write_bytes(NET.read_bytes())
    (place / "wide.toml").write_text(STUDY.format(width=width, epochs=epochs or whole))
    with (place / "log").open("ab") as log:
        return subprocess.Popen(
            [str(python), "-m", "hw2tune", "study", "wide.toml", "--concurrency", "2", "--quiet"],
            cwd=place, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def folder_of(place: Path) -> StudyFolder:
    return StudyFolder(place / "ray_results" / "wide")


def lines(driver: subprocess.Popen[bytes], folder: StudyFolder) -> Iterator[tuple[int, float]]:
    """Yield trial and time of each line as it appears, until the study ends. Raises AssertionError if it fails."""
    known = [0, 0]
    while driver.poll() is None:
        for trial, count in enumerate(known):
            while count < len(read_epochs(folder.trial(trial))):
                known[trial] = count = count + 1
                yield trial, time.monotonic()
        time.sleep(EVERY)
    assert driver.returncode in (0, -signal.SIGKILL), (folder.root.parents[1] / "log").read_text()


def watch_memory(driver: subprocess.Popen[bytes], most: dict[str, float]) -> None:
    """Note the driver's largest resident memory until it ends, in MB: with what it has mapped of Ray's object store and
    of libraries, and its own alone."""
    while driver.poll() is None:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{driver.pid}/status").read_text()
            for name, kib in re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", status, re.MULTILINE):
                most[name] = max(most.get(name, 0.0), int(kib) * 1024 / 1e6)
        time.sleep(EVERY)


def measured(keep: Path, version: str, python: Path, size: str, epochs: int | None) -> dict[str, Any]:
    """Run a study, unless it is there, and return its row of the table."""
    place, done = keep / f"{size}-{version}", keep / f"{size}-{version}.json"
    folder = folder_of(place)
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        driver = started(place, python, size, epochs)
        times: dict[int, list[float]] = {0: [], 1: []}
        most: dict[str, float] = {}
        watch = threading.Thread(target=watch_memory, args=(driver, most))
        watch.start()
        for trial, at in lines(driver, folder):
            times[trial].append(at)
        watch.join()
        gaps = [b - a for each in times.values() for a, b in pairwise(each[1:])]
        done.write_text(
            json.dumps(
                {
                    "mean": statistics.mean(gaps),
                    "longest": max(gaps),
                    "driver_mb": most["VmRSS"],
                    "own_mb": most["RssAnon"],
                }
            )
        )
    kept, epoch = json.loads(done.read_text()), []
    at_risk = 0.0
    for trial in (0, 1):
        since = 0.0
        for line in read_epochs(folder.trial(trial)):
            epoch.append(line["epoch_seconds"])
            since += line["epoch_seconds"]
            at_risk = max(at_risk, since)
            since = 0.0 if DIGEST in line else since
    training = statistics.mean(epoch)
    return {
        "million parameters": size, "version": version, "epoch s": round(training, 3),
        "epoch to epoch s": round(kept["mean"], 3), "longest s": round(kept["longest"], 2),
        "cost": f"{100 * (kept['mean'] / training - 1):.0f} %", "driver MB": round(kept["driver_mb"]),
        "its own": round(kept["own_mb"]),
        "MB a trial": round(size_of(folder.trial(0).root) / 1e6, 1), "lost at a kill s": round(at_risk, 1),
    }  # fmt: skip


def killed(keep: Path, size: str, epochs: int | None, whom: str) -> bool:
    """Run a study in which one process is killed behind a checkpoint; return whether its records are the same."""
    place = keep / f"{size}-{whom}-killed"
    folder, python = folder_of(place), Path(sys.executable)
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        driver = started(place, python, size, epochs)
        for _ in lines(driver, folder):
            behind = [line for line in read_epochs(folder.trial(0)) if DIGEST in line]
            if behind and len(read_epochs(folder.trial(0))) > behind[0]["epoch"]:
                if whom == "driver":
                    os.killpg(driver.pid, signal.SIGKILL)
                else:
                    os.kill(read_epochs(folder.trial(0))[-1]["pid"], signal.SIGKILL)
                break
        else:
            raise SystemExit(f"{place}: ended before a checkpoint, so that nothing was killed; give it more --epochs")
        for _ in lines(driver, folder):
            pass
        if whom == "driver":
            for _ in lines(started(place, python, size, epochs), folder):
                pass
        (place / "done").touch()
    return without_digests(records(folder)) == without_digests(records(folder_of(keep / f"{size}-now")))


def without_digests(found: list[tuple[Any, ...]]) -> list[Any]:
    """Records but for when a checkpoint was taken, which depends on the time."""
    return [
        (*row[:-1], [{key: value for key, value in line.items() if key != DIGEST} for line in row[-1]]) for row in found
    ]


if __name__ == "__main__":
    main()
