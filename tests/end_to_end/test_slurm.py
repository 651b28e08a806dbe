"""A study as jobs of a real SLURM: its tasks die at different times and in different ways, and none of it is lost."""

import re
import socket
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
import submitit

from hw2tune.execution.slurm_jobs import Worker
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.slurm import CONTROLLER, Slurm, running
from tests.end_to_end.test_faults import assert_account
from tests.end_to_end.test_nodes import epochs_of, wait_for
from tests.end_to_end.test_study import STUDY

pytestmark = [pytest.mark.ray, pytest.mark.machines]
TRIALS, EPOCHS = 6, 50
# An epoch takes a second and a half on any machine: SLURM counts limits in minutes.
NET = """
import time
from torch import nn

class Slow(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes)

    def forward(self, x):
        time.sleep(0.1 * self.training)
        return self.layer(x.flatten(1))
"""


@pytest.fixture(scope="module")
def slurm():
    with running() as cluster:
        yield cluster


def submit(slurm: Slurm, cwd: Path, *more: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "hw2tune", "submit", "tiny.toml", "--array", 3, "--time", "20m", "--driver-time", "1h",
        "--cpus-per-task", 2, "--gres", "token:1", "--mem", "1G", "--trials", TRIALS, "--max-epochs", EPOCHS,
        "--pruner", "none", "--cpus-per-trial", 2, *more,
    ]  # fmt: skip
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env={**slurm.environment, "COLUMNS": "200"}, capture_output=True, text=True
    )


def test_three_tasks_die_in_three_ways_and_no_trial_is_lost_or_doubled(slurm, tmp_path):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "tiny.toml").write_text(STUDY.replace("mnist_cnn", "net.py:Slow"))
    folder, jobs = StudyFolder(tmp_path / "ray_results" / "tiny"), tmp_path / "ray_results.slurm" / "tiny"
    done = submit(slurm, tmp_path)
    assert done.returncode == 0, done.stderr
    driver, array = re.search(r"driver (\d+), 3 tasks (\d+)$", done.stdout, re.MULTILINE).groups()

    def log(job: str) -> str:
        return "".join(file.read_text() for file in jobs.glob(f"{job}_*log.out"))

    def trial_on(task: int) -> int:
        """The trial that a task runs."""
        address = slurm.node_of(f"{array}_{task}").address
        last = {n: e[-1] for n in range(TRIALS) if 2 <= len(e := epochs_of(folder, n)) < EPOCHS - 5}
        return next((n for n, epoch in last.items() if epoch["node_ip"] == address), -1)

    def goes_on(trial: int) -> bool:
        return f"trial {trial}: lost: " in log(driver)

    try:
        wait_for(lambda: slurm.state(array).split() == ["RUNNING"] * 3, 60)
        wait_for(lambda: min(map(trial_on, range(3))) >= 0, 240)
        again = submit(slurm, tmp_path)
        assert again.returncode == 1 and f"its jobs {driver} {array} are in SLURM's queue already" in again.stderr

        killed = trial_on(0)
        slurm.says("scancel", "--signal=KILL", f"{array}_0")
        wait_for(lambda: goes_on(killed), 60)

        parted, lost = slurm.node_of(f"{array}_1"), trial_on(1)
        parted.kill()  # with its slurmd
        wait_for(lambda: goes_on(lost), 60)
        wait_for(lambda: slurm.state(f"{array}_1") == "PENDING", 120)
        slurm.start_node(parted)

        third = f"{array}_2"
        slurm.says("scontrol", "update", f"jobid={third}", "timelimit=3")  # which has been running for a minute
        wait_for(lambda: f"Requeued job {third}" in log(third), 240)
        slurm.says("scontrol", "update", f"jobid={third}", "timelimit=20")
        wait_for(lambda: slurm.state(third) == "RUNNING", 120)

        before = (jobs / "address").read_text()
        slurm.says("scontrol", "update", f"nodename={slurm.node_of(driver).name}", "state=drain", "reason=test")
        slurm.says("scancel", "--signal=USR2", driver)
        wait_for(lambda: (jobs / "address").read_text() != before, 180)
        wait_for(lambda: slurm.state(driver) == "COMPLETED", 900)
        wait_for(lambda: not {"RUNNING", "PENDING"} & set(slurm.state(array).split()), 120)
    finally:
        print(slurm.says("scontrol", "show", "job"))
        print(slurm.says("sacct", "--duplicates", "-o", "JobID%12,JobName%22,State%20,ExitCode,NodeList,Start,End"))
        for job in (driver, *(f"{array}_{task}" for task in range(3))):
            print(f"== log of job {job}", log(job), sep="\n")
    for trial in read_trials(folder):
        stays = groupby(epochs_of(folder, trial.number), lambda epoch: epoch["node_ip"])
        spans = [(address, [epoch["epoch"] for epoch in stay]) for address, stay in stays]
        where = ", ".join(f"epochs {epochs[0]}-{epochs[-1]} on {address}" for address, epochs in spans)
        print(f"#{trial.number:<2} {trial.state.name.lower()} {trial.value:.4f}  {where}")
    assert_account(folder, TRIALS)
    assert {trial.state.name for trial in read_trials(folder)} == {"COMPLETE"}
    assert all(len(epochs_of(folder, n)) == EPOCHS for n in range(TRIALS))
    assert re.search(rf"trial {killed}: lost: .* goes on from epoch \d+", log(driver))
    gone = rf"trial {lost}: lost: its machine is gone on .*; goes on from epoch \d+$"
    assert re.search(gone, log(driver), re.MULTILINE)
    assert re.search(r"trial \d+: lost: [^()]* goes on from epoch \d+$", log(driver), re.MULTILINE)
    assert slurm.shown(f"{array}_0", "JobState") == "CANCELLED"
    for job in (driver, f"{array}_1", f"{array}_2"):
        assert (slurm.shown(job, "JobState"), slurm.shown(job, "Restarts") > "0") == ("COMPLETED", True)


def test_a_task_that_cannot_join_is_failed_in_slurms_books_and_is_not_requeued(slurm, tmp_path, monkeypatch):
    for name in ("SLURM_CONF", "TMPDIR"):
        monkeypatch.setenv(name, slurm.environment[name])
    driver = slurm.says("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 600").strip()
    (tmp_path / "token").write_text("remember the milk\n")
    executor = submitit.SlurmExecutor(tmp_path, max_num_timeout=5)
    executor.update_parameters(time=10, cpus_per_task=2, additional_parameters={"requeue": True, "mem": "1G"})
    with socket.create_server((CONTROLLER, 0)) as head:
        (tmp_path / "address").write_text("{}:{}".format(*head.getsockname()))
        task = executor.submit(Worker(tmp_path, 10, driver, 2)).job_id
        try:
            wait_for(lambda: slurm.state(task) not in {"PENDING", "RUNNING", "COMPLETING"}, 240)
            books = [slurm.shown(task, field) for field in ("JobState", "ExitCode", "Restarts")]
            slurm.says("scontrol", "requeue", task)
            wait_for(lambda: slurm.state(task) == "PENDING", 60)
        finally:
            slurm.says("scancel", driver, task)
            log = "".join(file.read_text() for file in tmp_path.glob(f"{task}_*log.*"))
            print(log)
    assert books == ["FAILED", "1:0", "0"]
    assert log.count("a token is one word of 16 characters or more") == 3
    assert f"mend what is said above, and `scontrol requeue {task}` starts this task again" in log
