"""Two machines that take turns at one study behind a URL: `uv run python -m benchmarks.chaos --machines`.

Each machine is a folder with a cache of its own; the store is a third. After some epochs the machine at work dies, dies
with its disk, ends as a scheduler asks it to, or sleeps: a sleeper is given up by the other machine, which goes on, and
wakes while that one trains. A third machine that has the store alone then takes the account.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chaos import AT_MOST, account, counted, epochs_on_disk, start, unchanged, wait_for_epochs, workers
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import STALE_SECONDS
from hw2tune.records.remote.mirror import reading_study

BOTH_MOVED_ON = "move that folder away to continue from the URL"  # what a user is told to do, and does
ENDS = ("dies", "dies with its disk", "ends in order", "sleeps")


@dataclass
class Turn:
    """One machine at work."""

    machine: Path
    driver: subprocess.Popen[bytes]

    @property
    def copy(self) -> StudyFolder:
        """Its working copy, or where it will be."""
        return StudyFolder(next(self.machine.glob("mirrors/*/work/quickstart"), self.machine / "not yet"))

    def send(self, number: int) -> None:
        """Signals every process of the machine, Ray's first."""
        for process in [*psutil.Process(self.driver.pid).children(recursive=True), psutil.Process(self.driver.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def run(place: str, turns: int, chance: random.Random) -> int:
    """Runs the study with so many turns cut short, and then to its end; returns the exit code of the account."""
    machines, store, asleep, done = [Path(place, "a"), Path(place, "b")], Path(place, "store"), None, 0
    finished: dict[int, str] = {}
    turn = begin(machines[0], store)
    while done < turns:
        if not trains(turn, chance.randint(1, 6)):
            if moved_away(turn):
                turn = begin(turn.machine, store)
                continue
            assert turn.driver.returncode == 0, (turn.machine / "err").read_text()
            print(f"the study was complete after {done} turns")
            break
        time.sleep(chance.uniform(0, 6))  # between two pushes, or within one
        if asleep is not None:
            print(f"         {asleep.machine.name} wakes up: {woken(asleep)}", flush=True)
            asleep = None
        if turn.driver.poll() is not None:
            continue
        how = chance.choice(ENDS)
        cut_short(turn, how, store)
        done += 1
        there = seen_by_a_third(place)
        print(f"turn {done:2}: {turn.machine.name} {how:18}  pushed: {counted(there)}", flush=True)
        finished = unchanged(there, finished)
        asleep = turn if how == "sleeps" else None
        turn = begin(machines[machines[0] == turn.machine], store)
    if asleep is not None:
        print(f"         {asleep.machine.name} wakes up: {woken(asleep)}", flush=True)
    while turn.driver.wait(AT_MOST) and moved_away(turn):
        turn = begin(turn.machine, store)
    there = seen_by_a_third(place)
    unchanged(there, finished)
    return account(there, turn.driver.returncode)


def begin(machine: Path, store: Path) -> Turn:
    machine.mkdir(exist_ok=True)
    return Turn(machine, start(str(machine), "--results-dir", f"file://{store}", HW2TUNE_CACHE=str(machine)))


def moved_away(turn: Turn) -> bool:
    """Does what the command says where the other machine has gone on without the last epochs of this one."""
    if BOTH_MOVED_ON not in (turn.machine / "err").read_text():
        return False
    print(f"         {turn.machine.name} has epochs that it never pushed: they are moved away", flush=True)
    turn.copy.root.rename(turn.machine / f"moved-{len(list(turn.machine.glob('moved-*')))}")
    return True


def trains(turn: Turn, epochs: int) -> bool:
    """Waits until the machine has trained so many epochs; False where its command ended before."""
    while turn.driver.poll() is None and not turn.copy.root.exists():
        time.sleep(0.1)
    while turn.driver.poll() is None and not workers(turn.driver):
        time.sleep(0.1)
    return wait_for_epochs(turn.copy, turn.driver, epochs_on_disk(turn.copy) + epochs)


def cut_short(turn: Turn, how: str, store: Path) -> None:
    """Ends a turn (with code 0 where the study was just complete); of a sleeper a minute passes at once."""
    match how:
        case "sleeps":
            turn.send(signal.SIGSTOP)
            for claim in store.glob("quickstart/runs/*.json"):
                os.utime(claim, (time.time() - STALE_SECONDS - 1,) * 2)
        case "ends in order":
            turn.driver.send_signal(signal.SIGTERM)
            assert turn.driver.wait(AT_MOST) in (130, 0), (turn.machine / "err").read_text()
        case _:
            turn.driver.kill()
            turn.driver.wait()
            if "disk" in how:
                shutil.rmtree(turn.machine, ignore_errors=True)


def woken(turn: Turn) -> str:
    """Goes on with a machine that slept: it must end by itself, and say why."""
    turn.send(signal.SIGCONT)
    code, text = turn.driver.wait(AT_MOST), (turn.machine / "err").read_text()
    assert code != 0 and "has taken this study over" in text, (code, text)
    return "its run ends, as it was taken over"


def seen_by_a_third(place: str) -> StudyFolder:
    """The study as a machine sees it that has the store alone."""
    os.environ["HW2TUNE_CACHE"] = str(Path(place, "third"))
    return reading_study(f"file://{place}/store", "quickstart")
