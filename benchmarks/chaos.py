"""Kill a study twenty times and count what is left: `uv run python -m benchmarks.chaos`.

A study of 30 trials is run with real trainings. Its driver or one of its workers is ended by SIGKILL at random
moments, start-up included; its process group gets SIGTERM or SIGHUP; its terminal is closed; another container tries to
run it too; a dead driver is started again by the same command, under another host name or with a full temporary folder.
Then it runs to its end undisturbed and the account is taken from the files: exactly 30 trials, none lost, none twice,
no epoch missing or doubled, what was finished before a kill unchanged after it, and the best value equal to the one
recomputed from the epochs on disk.
Exit code 1 where the account is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials

TRIALS, KILLS = 30, 20
COMMAND = ("study", "quickstart", "--trials", str(TRIALS), "--retries", str(KILLS))  # a worker's deaths are no trial's
SURROUNDINGS = ("another host name", "full temporary folder", "terminal closed", "second container")
AT_MOST = 240  # seconds to wait for anything


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kills", type=int, default=KILLS)
    options.add_argument("--machines", action="store_true", help="two machines take turns at a study behind a URL")
    arguments = options.parse_args()
    chance = random.Random(arguments.seed)
    for number in (signal.SIGINT, signal.SIGHUP):  # a study that was started with them ignored leaves them so
        signal.signal(number, signal.SIG_DFL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        if arguments.machines:
            from benchmarks import chaos_machines

            sys.exit(chaos_machines.run(place, arguments.kills, chance))
        folder = StudyFolder(Path(place) / "ray_results" / "quickstart")
        driver, done = start(place), 0
        finished: dict[int, str] = {}
        while done < arguments.kills:
            if driver.poll() is not None:  # finished before all kills were spent: search on
                assert driver.returncode == 0, Path(place, "err").read_text()
                print(f"the study was complete after {done} kills")
                break
            # Half of the drivers die anywhere in their first seconds, the others and the workers while trials train.
            whom = chance.choice(
                (
                    "driver",
                    "driver in its start-up",
                    "worker",
                    "worker",
                    "group, SIGTERM",
                    "group, SIGHUP",
                    *SURROUNDINGS,
                )
            )
            if whom == "driver in its start-up":
                time.sleep(chance.uniform(0.1, 12))
            elif not wait_for_epochs(folder, driver, epochs_on_disk(folder) + chance.randint(0, 4)):
                continue
            else:
                time.sleep(chance.uniform(0, 1))
            if driver.poll() is not None or (whom == "group, SIGHUP" and ignores_hang_ups(driver)):
                continue
            if whom == "second container":
                print(f"         {whom:22}  {second_container(place)}", flush=True)
                continue
            if whom.startswith("group"):
                os.killpg(driver.pid, getattr(signal, whom.partition(", ")[2]))
            elif victim := choose(whom, driver, chance):
                victim.send_signal(signal.SIGKILL)
            else:
                continue
            done += 1
            print(f"kill {done:2}: {whom:22}  {counted(folder)}, {epochs_on_disk(folder)} epochs", flush=True)
            if whom != "worker":
                code = driver.wait(AT_MOST)
                assert not whom.startswith("group") or code == 130, (code, Path(place, "err").read_text())
                finished = unchanged(folder, finished)
                driver = start_again(place, folder, whom)
        driver.wait(AT_MOST)
        print("resumed:", *re.findall(r"^resumed\s+(.*)$", Path(place, "err").read_text(), re.MULTILINE)[-1:])
        unchanged(folder, finished)
        if Path(place, "full").is_mount():
            subprocess.run(["umount", Path(place, "full")], check=True)
        sys.exit(account(folder, driver.returncode))


def start(place: str, *more: str, **environment: str) -> subprocess.Popen[bytes]:
    with Path(place, "err").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "hw2tune", *COMMAND, *more], cwd=place, stdout=subprocess.DEVNULL, stderr=err,
            start_new_session=True, env={**os.environ, "COLUMNS": "120", **environment},
        )  # fmt: skip


def start_again(place: str, folder: StudyFolder, surroundings: str) -> subprocess.Popen[bytes]:
    """The same command, in what else may have changed since."""
    match surroundings:
        case "another host name":
            record = folder.root / "running.json"
            if record.exists():
                record.write_text(json.dumps(json.loads(record.read_text()) | {"host": "pod-2", "pid": 1}))
        case "full temporary folder":
            full = Path(place, "full")
            full.mkdir(exist_ok=True)
            if not full.is_mount():
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=False)
            return start(place, TMPDIR=str(full))
        case "terminal closed":
            return on_a_terminal_that_goes_away(place, folder)
    return start(place)


def on_a_terminal_that_goes_away(place: str, folder: StudyFolder) -> subprocess.Popen[bytes]:
    """A driver that ignores hang-ups and whose terminal is closed while it trains."""
    master, slave = pty.openpty()
    driver = subprocess.Popen(
        [sys.executable, "-m", "hw2tune", *COMMAND], cwd=place, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    os.close(slave)
    os.set_blocking(master, False)
    before, deadline = epochs_on_disk(folder), time.monotonic() + AT_MOST
    while driver.poll() is None and epochs_on_disk(folder) <= before and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            os.read(master, 65536)
        time.sleep(0.05)
    os.close(master)
    return driver


def ignores_hang_ups(driver: subprocess.Popen[bytes]) -> bool:
    """Whether a hang-up would leave it alone, as one whose terminal was closed."""
    ignored = re.search(r"^SigIgn:\s*(\w+)$", Path(f"/proc/{driver.pid}/status").read_text(), re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) >> (signal.SIGHUP - 1) & 1)


def second_container(place: str) -> str:
    """Another container on the same folder runs the same command: it must be refused."""
    inside = f"hostname elsewhere; exec {sys.executable} -m hw2tune {' '.join(COMMAND)}"
    told = subprocess.run(
        ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c", inside], cwd=place, capture_output=True,
        text=True, timeout=AT_MOST,
    )  # fmt: skip
    if "unshare:" in told.stderr:
        return "skipped: this machine makes no namespaces"
    assert told.returncode == 1 and "runs this study" in told.stderr, told.stderr
    return "refused"


def workers(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that train, of this driver's own Ray."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if process.name().startswith("ray::ResourceTrainable"):  # the name that Ray gives to a trial's process
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def epochs_on_disk(folder: StudyFolder) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in folder.root.glob("trials/*/result.json"))


def wait_for_epochs(folder: StudyFolder, driver: subprocess.Popen[bytes], count: int) -> bool:
    """Waits until the trials have `count` epochs and workers train; False where the driver ended before."""
    deadline = time.monotonic() + AT_MOST
    while driver.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            if epochs_on_disk(folder) >= count and workers(driver):
                return True
        time.sleep(0.05)
    return False


def choose(whom: str, driver: subprocess.Popen[bytes], chance: random.Random) -> psutil.Process | None:
    if whom != "worker":
        return psutil.Process(driver.pid)
    there = workers(driver)
    return chance.choice(there) if there else None


def counted(folder: StudyFolder) -> str:
    states = Counter(trial.state.name for trial in read_trials(folder))
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing written yet"


def unchanged(folder: StudyFolder, before: dict[int, str]) -> dict[int, str]:
    """What is finished now, by number; what was finished before must be in it, as it was."""
    now = {
        trial.number: json.dumps([trial.params, trial.value, trial.state.name], sort_keys=True)
        for trial in read_trials(folder)
        if trial.state.is_finished()
    }
    changed = [number for number, content in before.items() if now.get(number) != content]
    assert not changed, f"trials {changed} were finished before a kill and are not the same after it"
    return now


def account(folder: StudyFolder, code: int) -> int:
    trials = read_trials(folder)
    states = Counter(trial.state.name for trial in trials)
    epochs = {trial.number: written_epochs(folder, trial.number) for trial in trials}
    from_files = max(
        record["validation_accuracy"]
        for trial in trials
        if trial.state.name == "COMPLETE"
        for record in read_epochs(folder.trial(trial.number))
    )
    stored = max(trial.value for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None)
    checks = {
        "the last command exits with 0": code == 0,
        f"exactly {TRIALS} trials, numbered 0 to {TRIALS - 1}": [t.number for t in trials] == list(range(TRIALS)),
        "as many folders": sorted(int(p.name) for p in (folder.root / "trials").iterdir()) == list(range(TRIALS)),
        "none lost, none left running": states["FAIL"] == states["RUNNING"] == states["WAITING"] == 0,
        "no configuration twice": len({json.dumps(t.params, sort_keys=True) for t in trials}) == TRIALS,
        "every epoch once, in order": all(e == list(range(1, len(e) + 1)) for e in epochs.values()),
        "storage and files hold the same epochs": all(
            epochs[t.number] == sorted(t.intermediate_values) for t in trials
        ),
        f"best value {stored} equal to the one from the files": stored == from_files,
    }
    print(*(f"{name} {count}" for name, count in sorted(states.items())), sep=", ")
    for what, holds in checks.items():
        print(f"{'yes' if holds else 'NO '}  {what}")
    return 0 if all(checks.values()) else 1


def written_epochs(folder: StudyFolder, number: int) -> list[int]:
    """Every whole line's epoch as it stands in the file, doubles included."""
    found = []
    for line in folder.trial(number).epochs.read_bytes().splitlines():
        try:
            found.append(json.loads(line)["epoch"])
        except ValueError:  # torn by a kill; the line after it tells the epoch again
            continue
    return found


if __name__ == "__main__":
    main()
