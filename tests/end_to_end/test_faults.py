"""Faults provoked for real: what the terminal says, the exit code, and that nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.test_study import STUDY, assert_nothing_of_rays, finish

pytestmark = [pytest.mark.ray, pytest.mark.matrix]  # without Ray: tests/search/test_driver.py
PROGRAM = Path(__file__).with_name("faulty.py")


def start(*arguments: object, cwd: Path, faults: dict[str, str] | None = None, **env: str) -> subprocess.Popen[str]:
    (cwd / "tiny.toml").write_text(STUDY)
    environment = {**os.environ, "COLUMNS": "120", "FAULTS": json.dumps(faults or {}), "MARKS": str(cwd)}
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)], cwd=cwd, text=True, env=environment | env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def assert_account(folder: StudyFolder, trials: int) -> None:
    """Every number once, every epoch once, storage and files agree."""
    stored = read_trials(folder)
    assert [trial.number for trial in stored] == list(range(trials))
    assert len({json.dumps(trial.params, sort_keys=True) for trial in stored}) == trials
    for trial in stored:
        lines = folder.trial(trial.number).epochs
        epochs = [json.loads(line)["epoch"] for line in lines.read_text().splitlines()] if lines.exists() else []
        assert epochs == list(range(1, len(epochs) + 1))
        if trial.state.name != "FAIL":
            assert epochs == list(trial.intermediate_values)


def test_each_fault_has_its_word_and_the_study_goes_on(tmp_path):
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + 4e9) / memory.total  # the monitor's: 4 GB above what is in use now
    # One trial at a time: the monitor ends the youngest worker, which beside a hog may be an innocent one.
    faults = {"2": "die once", "3": "too much memory", "4": "raise", "5": "hog", "6": "die always"}
    faults |= {"7": "break CUDA once"}
    code, out, err = finish(
        start(
            "study", "tiny.toml", "--trials", 9, "--retries", 2, "--pruner", "none", "--max-epochs", 2,
            "--concurrency", 1, cwd=tmp_path, faults=faults, RAY_memory_usage_threshold=f"{limit:.3f}",
        )
    )  # fmt: skip
    print(err, out)
    assert code == 0
    folder = StudyFolder(tmp_path / "ray_results" / "tiny")
    reasons = {trial.number: trial.user_attrs.get("reason", "") for trial in read_trials(folder)}
    assert [reasons[number] for number in (0, 1, 2, 7, 8)] == [""] * 5
    before, after = [epoch["pid"] for epoch in read_epochs(folder.trial(7))]
    assert before != after, "a worker whose CUDA is broken trains no more"
    assert reasons[3].startswith("out of memory in epoch 2: MemoryError")
    assert reasons[4] == "failed in its preparation: ValueError: no such thing"
    assert reasons[5] == "out of memory: Ray's memory monitor ended its worker process"
    assert reasons[6] == "lost: its worker process died"
    assert "trial 2: lost: its worker process died on " in err
    assert "goes on from epoch 1 (retry 1 of 2)" in err
    assert "no such thing" in folder.trial(4).errors.read_text()
    attempts = folder.trial(4).errors.read_text().split("failed in its preparation: ValueError: no such thing\n")[1:]
    assert len(attempts) == 3 and all(len(attempt.splitlines()) < 20 for attempt in attempts)
    assert "5 complete" in out and "2 out of memory" in out and "1 failed" in out and "1 lost" in out
    assert_account(folder, 9)
    assert_nothing_of_rays(out, err)


def test_five_first_trials_failing_alike_end_the_study_and_the_same_command_runs_them_again(tmp_path):
    command = ("study", "tiny.toml", "--trials", 6, "--retries", 0, "--max-epochs", 1)
    code, out, err = finish(start(*command, cwd=tmp_path, faults={"all": "raise"}))
    assert (code, out) == (3, "")
    assert err.splitlines()[-1] == (
        "hw2tune: ray_results/tiny: 5 trials in a row failed in the same way, the last one `failed in its "
        "preparation: ValueError: no such thing`; ray_results/tiny/trials/*/error.txt hold the tracebacks. "
        "Mend the cause, and the same command goes on; a change of the study file or its code needs --fresh"
    )
    code, out, err = finish(start(*command, cwd=tmp_path))
    assert code == 0
    assert {trial.state.name for trial in read_trials(StudyFolder(tmp_path / "ray_results" / "tiny"))} <= {
        "COMPLETE", "PRUNED",
    }  # fmt: skip
    assert_account(StudyFolder(tmp_path / "ray_results" / "tiny"), 6)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A results folder on a file system of its own, of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small file system takes root to mount")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_ends_the_study_in_order_and_it_goes_on_when_there_is_room(tmp_path, small_disk):
    command = ("study", "tiny.toml", "--results-dir", small_disk, "--pruner", "none", "--max-epochs", 2)
    code, out, err = finish(start(*command, cwd=tmp_path))
    print(err)
    assert (code, out) == (1, "")
    message = err.splitlines()[-1]
    assert message.startswith(f"hw2tune: {small_disk}/tiny/")
    assert "cannot be written (No space left on device)" in message and "MB wanted" in message
    assert "trials are finished and kept" in message and "Make room (about " in message
    assert message.endswith("and the same command goes on")
    folder = StudyFolder(small_disk / "tiny")
    before = {t.number: (dict(t.params), t.value) for t in read_trials(folder) if t.state.name == "COMPLETE"}
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    code, out, err = finish(start(*command, cwd=tmp_path))
    assert code == 0, err
    assert f"{len(before)} finished" in err
    after = {t.number: (dict(t.params), t.value) for t in read_trials(folder)}
    assert {number: after[number] for number in before} == before
    assert_account(folder, 6)


def test_after_sigterm_damaged_files_are_survived_and_told(tmp_path):
    folder = StudyFolder(tmp_path / "ray_results" / "tiny")
    command = ("study", "tiny.toml", "--pruner", "none", "--trials", 3)
    running = start(*command, cwd=tmp_path, faults={"all": "be slow"})
    deadline = time.monotonic() + 120
    while len(read_epochs(folder.trial(0))) < 3 or len(read_epochs(folder.trial(1))) < 2:
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    code, out, err = finish(running, within=10)
    assert code == 130
    assert "the same command continues" in out
    last = folder.trial(0).last
    last.write_bytes(last.read_bytes()[:-1] + b"?")
    for path in (folder.trial(1).last, folder.trial(1).previous):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with folder.journal.open("ab") as journal:
        journal.write(b'{"op_code":4,"worker')  # as a kill leaves it
    code, out, err = finish(start(*command, cwd=tmp_path))
    print(err)
    assert code == 0
    assert "trial 0: last.pt damaged, it goes on from epoch " in err
    assert "trial 1: last.pt and previous.pt damaged, it goes on from epoch 0" in err
    assert_account(folder, 3)


def test_a_damaged_journal_is_refused_with_its_line_and_nothing_is_touched(tmp_path):
    code, out, err = finish(start("study", "tiny.toml", "--trials", 2, "--max-epochs", 1, cwd=tmp_path))
    assert code == 0
    journal = StudyFolder(tmp_path / "ray_results" / "tiny").journal
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:4], b"garbage\n", *lines[5:]]))
    before = journal.read_bytes()
    code, out, err = finish(start("study", "tiny.toml", "--trials", 4, "--max-epochs", 1, cwd=tmp_path))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        "hw2tune: ray_results/tiny/optuna.journal: line 5 is damaged; "
        "put a copy in its place, or set the study aside with --fresh"
    )
    assert journal.read_bytes() == before


def test_a_time_budget_ends_a_study_in_order_with_exit_code_0(tmp_path):
    running = start("study", "tiny.toml", "--trials", 60, "--time-budget", "25s", cwd=tmp_path,
                    faults={"all": "be slow"})  # fmt: skip
    code, out, err = finish(running)
    assert code == 0
    assert "time budget of 25 s used up; the same command continues" in err
    assert "the same command continues" in out
    assert not (tmp_path / "ray_results" / "tiny" / "running.json").exists()
