"""Three machines, each with an address and a disk of its own: they die, are cut off and come back, join and leave.

A machine is a network namespace on a bridge, with private memory in place of the shared folder. Ray is started on it
as an administrator does, and ended through the processes of the namespace alone.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

from benchmarks.checkpoints import without_digests
from benchmarks.twice import records
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.test_faults import PROGRAM, assert_account
from tests.end_to_end.test_study import STUDY, assert_nothing_of_rays, finish

pytestmark = [pytest.mark.ray, pytest.mark.machines]
BRIDGE = "h2t-bridge"
EPOCHS, TRIALS = 14, 8  # a trial takes longer than a process to start: Ray 2.60 gives up one that does not


def ip(*arguments: str, check: bool = True) -> str:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True).stdout


def wait_for(condition: Callable[[], object], seconds: float, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "too late"
        time.sleep(0.1)


class Machine:
    """Its network; and Ray, once it is started."""

    bridge = BRIDGE

    def __init__(self, number: int, disk: Path) -> None:
        self.name, self.address, self.disk = f"h2t-{number}", f"10.77.0.{number}", disk
        self.log = disk / f"{self.name}.log"
        self.plug = f"h2t-plug{number}"
        self.ray: subprocess.Popen[str] | None = None

    def connect(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.plug, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.plug, "master", self.bridge, "up")
        for command in (f"addr add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            ip("-n", self.name, *command.split())

    def run(self, *command: object, **options) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, command)], text=True, cwd=self.disk, **options
        )

    def start_ray(self, head: "Machine", env: dict[str, str]) -> None:
        if self is head:
            alone, where = [], ["--head", "--port=6379", "--include-dashboard=false"]
        else:
            alone = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', self.disk]
            where = [f"--address={head.address}:6379"]
        command = [
            Path(sys.executable).with_name("ray"), "start", *where, f"--node-ip-address={self.address}", "--num-cpus=1",
            f"--temp-dir={self.disk}", "--object-store-memory=100000000", "--block",
        ]  # fmt: skip
        with self.log.open("w") as log:
            self.ray = self.run(*alone, *command, env=env, stdout=log, stderr=log)
        wait_for(lambda: "Ray runtime started" in self.log.read_text(), 120, self.ray)

    def join(self, head: "Machine", token: Path, env: dict[str, str]) -> None:
        """As its user does, with one of its processors."""
        command = [sys.executable, "-m", "hw2tune", "join", f"{head.address}:6379", "--token-file", token, "--cpus", 1]
        with self.log.open("w") as log:
            self.ray = self.run(*command, env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        while pids := ip("netns", "pids", self.name, check=False).split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # it went with another
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.1)
        if self.ray is not None:
            self.ray.wait()

    def remove(self) -> None:
        self.kill()
        ip("netns", "del", self.name, check=False)  # its plug goes with it


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """Three of them, connected; what an earlier run left is removed first."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "mount"))):
        pytest.skip("network namespaces take root and iproute2")
    with tempfile.TemporaryDirectory(prefix="h2t-", ignore_cleanup_errors=True) as disk:  # short: sockets lie in it
        three = [Machine(number, Path(disk)) for number in (1, 2, 3)]
        try:
            remove(three)
            try:
                ip("link", "add", BRIDGE, "type", "bridge")
                ip("link", "set", BRIDGE, "up")
                for machine in three:
                    machine.connect()
            except subprocess.CalledProcessError as error:
                pytest.skip(f"this machine lets nobody make network namespaces: {error.stderr.strip()}")
            yield three
        finally:
            remove(three)


def remove(machines: list[Machine]) -> None:
    for machine in machines:
        machine.remove()
    ip("link", "del", BRIDGE, check=False)


def epochs_of(folder: StudyFolder, number: int) -> list[dict]:
    path = folder.trial(number).epochs
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def running_on(folder: StudyFolder, machine: Machine) -> list[int]:
    """The trials in the middle of their epochs there."""
    begun = {number: epochs_of(folder, number) for number in range(TRIALS)}
    return [n for n, e in begun.items() if 2 <= len(e) < EPOCHS - 1 and e[-1]["node_ip"] == machine.address]


def test_a_study_outlives_a_dead_machine_and_one_cut_off_and_back(machines):
    head, dying, cut = machines
    env = {
        **os.environ, "COLUMNS": "120", "FAULTS": '{"all": "be slow"}', "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "4",
    }  # fmt: skip
    for machine in machines:
        machine.start_ray(head, env)
    (head.disk / "tiny.toml").write_text(STUDY)
    folder = StudyFolder(head.disk / "ray_results" / "tiny")
    study = head.run(
        sys.executable, PROGRAM, "study", "tiny.toml", "--address", f"{head.address}:6379", "--pruner", "none",
        "--trials", TRIALS, "--max-epochs", EPOCHS, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: running_on(folder, dying) and running_on(folder, cut), 120, study)
    [died], [parted] = running_on(folder, dying), running_on(folder, cut)
    dying.kill()
    ip("link", "set", cut.plug, "down")
    wait_for(lambda: folder.trial(died).errors.exists() and folder.trial(parted).errors.exists(), 60, study)
    ip("link", "set", cut.plug, "up")
    back = time.time()
    wait_for(lambda: cut.ray.poll() is not None, 60, study)  # a raylet that was given up ends itself
    cut.start_ray(head, env)

    code, out, err = finish(study)
    print(err, out, sep="\n")
    for trial in read_trials(folder):
        stays = groupby(epochs_of(folder, trial.number), lambda epoch: epoch["node_ip"])
        spans = [(address, [epoch["epoch"] for epoch in stay]) for address, stay in stays]
        where = ", ".join(f"epochs {epochs[0]}-{epochs[-1]} on {address}" for address, epochs in spans)
        print(f"#{trial.number:<2} {trial.state.name.lower()} {trial.value:.4f}  {where}")
    assert code == 0
    assert_account(folder, TRIALS)
    best = {n: max(e["validation_accuracy"] for e in epochs_of(folder, n)) for n in range(TRIALS)}
    assert best == {trial.number: trial.value for trial in read_trials(folder)}
    assert f"{max(best.values()):.2%}".replace("%", " %") in out
    for number, machine in ((died, dying), (parted, cut)):
        # Whichever Ray hears of first: the end of the process, or of the machine.
        lost = rf"trial {number}: lost: its (worker process died|machine is gone) on {machine.address}; goes on from"
        assert re.search(lost, err)
        assert epochs_of(folder, number)[0]["node_ip"] == machine.address
    assert any(e["node_ip"] == cut.address and e["timestamp"] > back for n in best for e in epochs_of(folder, n))
    # Ray 2.60's core says this once, past every setting but its whole log's level, whose change it says as well.
    assert_nothing_of_rays(out, re.sub(r"\[.*:info_message: Attempting to recover .*\n", "", err))


def test_a_machine_that_joins_takes_trials_and_one_that_leaves_gives_them_back(machines):
    head, leaving, joining = machines
    env = {**os.environ, "COLUMNS": "120", "FAULTS": '{"all": "be slow"}'}
    (head.disk / "tiny.toml").write_text(STUDY)
    token, many = head.disk / "token", 18
    options = ["tiny.toml", "--order", "virtual", "--slots", 3, "--pruner", "halving", "--trials", many]
    opened = ["--open", "--port", f"{head.address}:6379", "--token-file", token]
    folder = StudyFolder(head.disk / "ray_results" / "tiny")
    study = head.run(
        "taskset", "-c", "0", sys.executable, PROGRAM, "study", *options, *opened, "--max-epochs", 18,
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def finished() -> int:
        return sum(trial.state.is_finished() for trial in read_trials(folder)) if folder.journal.exists() else 0

    def seconds_until_an_epoch_on(machine: Machine) -> float:
        begun = time.time()

        def there() -> bool:
            assert machine.ray.poll() is None, machine.log.read_text()
            return any(e["node_ip"] == machine.address for n in range(many) for e in epochs_of(folder, n))

        wait_for(there, 240, study)
        return time.time() - begun

    wait_for(lambda: any(epochs_of(folder, n) for n in range(many)), 240, study)
    moments = [time.time()]
    leaving.join(head, token, env)
    first = seconds_until_an_epoch_on(leaving)
    wait_for(lambda: finished() >= many // 3, 240, study)
    moments.append(time.time())
    joining.join(head, token, env)
    second = seconds_until_an_epoch_on(joining)
    wait_for(lambda: finished() >= 2 * many // 3, 240, study)
    moments.append(time.time())
    leaving.ray.send_signal(signal.SIGINT)
    leaving.ray.wait(120)
    said, gone = leaving.log.read_text(), time.time()
    code, out, err = finish(study)
    print(err, out, said, sep="\n")
    print(f"first epoch {first:.0f} and {second:.0f} s after `hw2tune join`; leaving took {gone - moments[-1]:.0f} s")
    every = sorted(e["timestamp"] for n in range(many) for e in epochs_of(folder, n))
    for begun, ended in zip(moments, [*moments[1:], every[-1]], strict=True):
        count = sum(begun < moment <= ended for moment in every)
        print(f"{count} epochs in {ended - begun:.0f} s: {3600 * count / (ended - begun):.0f} an hour")
    assert code == 0
    assert_account(folder, many)
    assert leaving.ray.returncode == 0 and said.splitlines()[-1] == f"left {head.address}:6379: interrupted"
    there = [e["timestamp"] for n in range(many) for e in epochs_of(folder, n) if e["node_ip"] == leaving.address]
    assert there and max(there) < gone
    assert "3 trials at once from now on" in err and err.count("2 trials at once from now on") == 2
    assert token.stat().st_mode & 0o777 == 0o600
    assert joining.ray.wait(60) == 0
    assert joining.log.read_text().splitlines()[-1] == f"left {head.address}:6379: the study has ended"

    alone = subprocess.run(
        [sys.executable, "-m", "hw2tune", "study", *map(str, options), "--max-epochs", "18", "--results-dir", "alone"],
        cwd=head.disk, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    there = StudyFolder(head.disk / "alone" / "tiny")
    assert without_digests(records(folder)) == without_digests(records(there))
