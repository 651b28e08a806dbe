"""Two machines at one study behind a URL, each of which may sleep, wake up and die between any two calls of the store.

Every claim looks silent to the other machine, so either may take the study over at any moment: sleeping anywhere for
any length of time. What a push has returned from is never lost: a third machine, with nothing but the store, gets it as
the study, or as a fork that is named to it.
"""

import itertools
import os
import shutil
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records import lock
from hw2tune.records.lock import Owner
from hw2tune.records.remote import working_copy
from hw2tune.records.remote.store import Store
from hw2tune.records.remote.working_copy import Mirror
from tests.records.exploring import Machine, explore, machine
from tests.records.memory_store import MemoryFiles

SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class TwoMachines:
    """Each runs the study `runs` times and finishes `trials` trials in each, with a push behind each."""

    def __init__(self, monkeypatch, type_name="s3", runs=1, trials=2, kills=0):
        self.place = Path(tempfile.mkdtemp(dir=SHM))
        self.files = MemoryFiles(type_name)
        self.store = Store(url="s3://bucket", files=self.files, base="bucket")
        self.pushed: list[str] = []
        self.finished: dict[str, list[str]] = {"a": [], "b": []}
        self.processes, self.names = itertools.count(1), dict[str, itertools.count]()
        self.owners: dict[str, Owner] = {}
        for module in (lock, working_copy):
            monkeypatch.setattr(module, "this_process", self.owner)
        monkeypatch.setattr(lock, "_started", lambda pid: None)  # a process of this machine that began before is dead
        monkeypatch.setattr("uuid.uuid4", self.name)
        monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
        self.machines = [Machine(name, self.script(name, runs, trials), kills) for name in "ab"]

    def owner(self) -> Owner:
        host = machine().name if machine() else "c"
        return self.owners.get(host, Owner(host=host, pid=0, started=0.0, boot=host))

    def name(self):
        count = self.names.setdefault(machine().name if machine() else "c", itertools.count())
        digit = {"a": 0xA, "b": 0xB}.get(machine().name if machine() else "c", 0xC)
        return type("", (), {"hex": f"{digit:x}{next(count):031x}"[:1] + f"{next(count):07x}" + "0" * 24})()

    def script(self, name, runs, trials):
        def processes():
            for run in range(runs):
                self.owners[name] = Owner(host=name, pid=run + 1, started=run + 1.0, boot=name)
                yield lambda run=run: self.run(name, run, trials)

        return processes

    def run(self, name, run, trials):
        mirror = Mirror(self.store, "tiny", self.place / name)
        try:
            mirror.claim()
            try:
                mirror.fetch()
                try:
                    for trial in range(trials):
                        mirror.renew()
                        self.finish(name, f"{name}{run}{trial}")
                        self.push(mirror, name)
                finally:
                    self.push(mirror, name)
            finally:
                mirror.release()
        except StudyFolderError as error:
            machine().seen.append(str(error))

    def finish(self, name, trial):
        folder = self.place / name / "tiny"
        write(folder / "trials" / trial / "result.json", trial)
        journal = folder / "optuna.journal"
        write(journal, (journal.read_text() if journal.exists() else "") + trial + "\n")
        self.finished[name].append(trial)

    def push(self, mirror, name):
        mirror.push()
        self.pushed += [trial for trial in self.finished[name] if trial not in self.pushed]

    def state(self):
        return (*sorted(self.files.content.items()), *self.pushed)

    def check(self):
        """A third machine comes now: both others are dead, their disks gone."""
        store = replace(self.store, files=MemoryFiles(self.files.type_name, dict(self.files.content)))
        here, said = self.place / "c", list[str]()
        mirror = Mirror(store, "tiny", here, said.append)
        mirror.claim()
        mirror.fetch()
        found = trials_in(here / "tiny")
        for path in list(store.files.content):
            if path.endswith("/tiny/optuna.journal") and any(path.split("/")[3] in text for text in said):
                found |= {*store.files.content[path].decode().split()}
        shutil.rmtree(here, ignore_errors=True)
        assert {*self.pushed} <= found, f"{sorted({*self.pushed} - found)} pushed and lost"
        if all(one.over for one in self.machines):
            kept = found.union(*({*path.read_text().split()} for path in self.place.rglob("optuna.journal")))
            assert {*self.finished["a"], *self.finished["b"]} <= kept, "finished and nowhere any more"

    def close(self):
        shutil.rmtree(self.place, ignore_errors=True)


def trials_in(folder: Path) -> set[str]:
    """The trials that the journal has finished; each has its lines."""
    if not (folder / "optuna.journal").exists():
        return set()
    trials = (folder / "optuna.journal").read_text().split()
    for trial in trials:
        path = folder / "trials" / trial / "result.json"
        assert path.exists() and path.read_text() == trial, f"{trial} is in the journal and has no lines"
    return {*trials}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(zlib.crc32(text.encode()) + 1,) * 2)


def test_no_trial_is_lost_where_one_machine_sleeps_anywhere_and_wakes_after_the_other_has_ended(monkeypatch):
    orders, states, wrong = explore(lambda: TwoMachines(monkeypatch, trials=1), switches=2, alike=True)
    assert not wrong
    assert orders > 500 and states > 5000


WIDER = {  # 83dc8fd loses trials in each: a process, what it finished and pushed, is written over
    "three turns": {"trials": 1, "switches": 3},
    "two runs on each machine": {"runs": 2, "trials": 1, "switches": 2},
    "and either may die": {"trials": 1, "kills": 1, "switches": 1},
    "without atomic writes": {"type_name": "hdfs", "trials": 1, "switches": 2},
    "without atomic writes, and either may die": {"type_name": "hdfs", "trials": 1, "kills": 1, "switches": 1},
}


@pytest.mark.machines
@pytest.mark.parametrize("world", WIDER.values(), ids=WIDER)
def test_no_trial_is_lost_in_any_of_many_more_orders(monkeypatch, world):
    switches = world.get("switches")
    shape = {name: value for name, value in world.items() if name != "switches"}
    orders, states, wrong = explore(lambda: TwoMachines(monkeypatch, **shape), switches=switches, alike=True)
    print(f"{orders} orders, {states} states")
    assert not wrong
