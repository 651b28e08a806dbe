"""What a study costs those that read, push and continue it as it grows: `uv run python -m benchmarks.grown`.

Studies of 1,000 and 10,000 trials of 12 epochs: a block as the driver records it, and the same again with other numbers
and learning rates. Measured, in a process for each: `status`; the dashboard's first look and each later one, with an
epoch more in the journal; the same of `status --watch`; a push to a URL with one file changed; further trials, as
`benchmarks.scale` simulates them. CPU time, as other work disturbs it least, and resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks import scale
from benchmarks.results import print_table, write_results
from hw2tune.events import Event, TrialFinished
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.records.remote.store import Store
from hw2tune.records.remote.working_copy import Mirror
from hw2tune.records.trials.epochs import write_epochs
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.schema import Study
from hw2tune.terminal.upkeep import look_at

BLOCK, MORE, STEPS = 250, 100, 12  # trials; trials; later looks
EPOCHS = 12
CREATE_STUDY, CREATE_TRIAL, SET_PARAM, SET_VALUE = 0, 4, 5, 7  # Optuna's entries in a journal


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, nargs="*", default=[1_000, 10_000])
    options.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # in a process of its own
    options.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments.place)))
        return
    rows = []
    for trials in arguments.trials:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
            folder = StudyFolder(Path(place) / "ray_results" / "quickstart")
            grow(folder, trials)
            rows.append({"trials": trials, "journal MB": folder.journal.stat().st_size / 1e6} | status(Path(place)))
            for part in PARTS:
                command = [sys.executable, "-m", "benchmarks.grown", "--part", part, "--place", place]
                shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                rows[-1] |= json.loads(shown.stdout.splitlines()[-1])
        print(rows[-1], flush=True)
    print_table(rows)
    write_results("grown", {"studies": rows})


def study_of(trials: int, seed: int = 0) -> Study:
    overrides = {"trials": trials, "seed": seed, "max_epochs": EPOCHS, "pruner.name": "none", "sampler.name": "random"}
    return parse_study(*find_study("quickstart"), overrides=overrides)


def grow(folder: StudyFolder, trials: int) -> None:
    """Record a block of trials, and repeat it until there are so many."""
    folder.root.mkdir(parents=True)
    folder.study_file.write_text(dump_study(study_of(trials + MORE)))
    scale.CHECKPOINT_BYTES = 2_000
    scale.simulate(study_of(BLOCK, seed=1), folder, 64, scale.Clock(BLOCK))
    entries = [json.loads(line) for line in folder.journal.read_bytes().splitlines()]
    with folder.journal.open("a") as journal:
        for number in range(BLOCK, trials, BLOCK):
            journal.writelines(again(entry, number) for entry in entries if entry["op_code"] != CREATE_STUDY)
    for number in range(BLOCK, trials):
        there, trial = folder.trial(number % BLOCK).root, folder.trial(number).root
        trial.mkdir()
        for path in there.iterdir():
            os.link(path, trial / path.name)


def again(entry: dict[str, Any], number: int) -> str:
    """Return an entry as of a trial that comes `number` trials later; no configuration is there twice."""
    if "trial_id" in entry:
        entry = entry | {"trial_id": entry["trial_id"] + number}
    if entry["op_code"] == SET_PARAM and entry["param_name"] == "learning_rate":
        entry = entry | {"param_value_internal": other(entry["param_value_internal"], number)}
    if entry["op_code"] == CREATE_TRIAL:
        params = {name: other(one, number) if name == "learning_rate" else one for name, one in entry["params"].items()}
        entry = entry | {"params": params, "user_attrs": {}}
        if fixed := entry["system_attrs"].get("fixed_params"):
            fixed = fixed | {"learning_rate": other(fixed["learning_rate"], number)}
            entry["system_attrs"] = {"fixed_params": fixed}
    return json.dumps(entry, separators=(",", ":")) + "\n"


def other(rate: float, number: int) -> float:
    return rate * (1 - 1e-7 * number) if rate > 0.0002 else rate * (1 + 1e-7 * number)


def status(place: Path) -> dict[str, float]:
    """CPU seconds and memory of `hw2tune status NAME` as a whole process."""
    seconds, memory = [], []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-m", "hw2tune", "status", "quickstart"], cwd=place, stdout=subprocess.DEVNULL
        ) as child:
            _, code, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(code)
        assert child.returncode == 0
        seconds.append(used.ru_utime + used.ru_stime)
        memory.append(used.ru_maxrss * 1024 / 1e6)
    return {"status s": statistics.median(seconds), "status MB": max(memory)}


def resident() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def looks(place: Path, name: str, look: Callable[[], object]) -> dict[str, float]:
    """The first look, and later ones, for each of which a trial that runs has an epoch more."""
    journal = StudyFolder(place / "ray_results" / "quickstart").journal
    whole = journal.stat().st_size
    last = json.loads(journal.read_bytes().splitlines()[-1])
    begun = {"op_code": CREATE_TRIAL, "worker_id": last["worker_id"], "study_id": 0, "datetime_start": None}
    number = sum(b'"op_code":4,' in line for line in journal.read_bytes().splitlines())
    before, started = resident(), time.process_time()
    look()
    found = {f"{name} first s": time.process_time() - started, f"{name} MB": resident() - before}
    entries = [begun] + [
        {"op_code": SET_VALUE, "worker_id": last["worker_id"], "trial_id": number, "step": step,
         "intermediate_value": 0.5} for step in range(STEPS)
    ]  # fmt: skip
    seconds = []
    for entry in entries:
        with journal.open("a") as file:
            file.write(json.dumps(entry, separators=(",", ":")) + "\n")
        started = time.process_time()
        look()
        seconds.append(time.process_time() - started)
    os.truncate(journal, whole)
    return found | {f"{name} later ms": 1000 * statistics.median(seconds)}


def dashboard(place: Path) -> dict[str, float]:
    return looks(place, "dashboard", ShownFolders(place / "ray_results"))


def watch(place: Path) -> dict[str, float]:
    known: dict[str, Any] = {}
    return looks(place, "watch", lambda: look_at(str(place / "ray_results"), "quickstart", known))


def push(place: Path) -> dict[str, float]:
    """CPU time of a push with one file changed."""
    from pyarrow.fs import _MockFileSystem  # in memory: what the store takes is not ours

    store = Store(url="mock://store", files=_MockFileSystem(), base="store")
    mirror = Mirror(store, "quickstart", place / "ray_results")
    mirror.claim()
    mirror.fetch()
    mirror.push()
    seconds = []
    for step in range(STEPS):
        write_epochs(mirror.folder.trial(7), [{"epoch": step + 1}])
        started = time.process_time()
        mirror.push()
        seconds.append(time.process_time() - started)
    return {"push ms": 1000 * statistics.median(seconds)}


def recorder(place: Path) -> dict[str, float]:
    """CPU time of a further trial, and what the driver takes to open the study and record them."""
    folder = StudyFolder(place / "ray_results" / "quickstart")
    study = parse_study(folder.study_file.read_text(), str(folder.study_file))
    began = list[float]()

    def first(event: Event) -> None:
        if isinstance(event, TrialFinished) and not began:
            began.append(time.process_time())

    scale.CHECKPOINT_BYTES = 2_000
    before = resident()
    scale.simulate(study, folder, 8, first)
    return {"ms a trial": 1000 * (time.process_time() - began[0]) / (MORE - 1), "driver MB": resident() - before}


PARTS = {"dashboard": dashboard, "watch": watch, "push": push, "recorder": recorder}

if __name__ == "__main__":
    main()
