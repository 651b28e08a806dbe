"""Variables of the environment: the table, its page, and what is done about each."""

import os
import subprocess
import sys
from pathlib import Path

from hw2tune.variables import VARIABLES, as_markdown, entry_for, settle
from tests.command_line import hw2tune


def test_the_page_is_the_table():
    page = Path(__file__).parent.parent / "docs" / "environment.md"
    assert page.read_text(encoding="utf-8") == as_markdown()


def test_each_variable_stands_once_and_patterns_come_last():
    exact = [name for entries in VARIABLES.values() for entry in entries for name in entry.names if "*" not in name]
    assert len(exact) == len(set(exact))
    for entries in VARIABLES.values():
        for entry in entries:
            assert all(entry_for(name) is entry for name in entry.names if "*" not in name), entry


def test_hostile_ones_are_removed_ours_are_set_and_others_are_left_alone():
    environment = {
        "OMP_PROC_BIND": "true", "TUNE_RESULT_BUFFER_LENGTH": "100", "TUNE_GLOBAL_CHECKPOINT_S": "1", "RAY_PDB": "1",
        "RAY_memory_usage_threshold": "0.9", "PATH": "/bin", "RAY_ADDRESS": "somewhere", "no_proxy": "intranet",
        "GIT_DIR": "elsewhere", "PYTHONWARNINGS": "error",
    }  # fmt: skip
    settle(environment)
    for name in ("OMP_PROC_BIND", "TUNE_RESULT_BUFFER_LENGTH", "RAY_PDB", "GIT_DIR", "PYTHONWARNINGS"):
        assert name not in environment
    assert environment["TUNE_GLOBAL_CHECKPOINT_S"] == "86400" and environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["RAY_memory_usage_threshold"] == "0.9" and environment["RAY_ADDRESS"] == "somewhere"
    assert environment["no_proxy"] == "intranet,localhost,127.0.0.1,::1"
    settled = dict(environment)
    settle(environment)
    assert environment == settled


def test_the_doctor_shows_what_matters_and_no_secret(tmp_path):
    told = hw2tune(
        "doctor", "--machine", cwd=tmp_path, RAY_AUTH_TOKEN="0123abc", OMP_PROC_BIND="true", HOME=str(tmp_path),
        HW2TUNE_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    for words in ("granted (affinity and quota)", "torch 2.", "ray 2.", "RAY_AUTH_TOKEN=... (handled)", "/dev/shm",
                  "OMP_PROC_BIND=true (removed)", "HW2TUNE_CACHE=~/cache (handled)", "mnist-5k"):  # fmt: skip
        assert words in told.stdout
    assert "0123abc" not in told.stdout and str(tmp_path) not in told.stdout


def test_the_doctor_has_nothing_to_say_of_a_machine_that_does(tmp_path):
    told = subprocess.run(
        [sys.executable, "-m", "hw2tune", "doctor"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"TMPDIR": "/nowhere/at/all"},  # a place is taken that is there
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (
        0, "nothing stands in a study's way here; --machine shows what there is\n"
    )  # fmt: skip


def test_the_doctor_names_what_stands_in_the_way(monkeypatch):
    from hw2tune.execution import machine

    monkeypatch.setattr(machine, "granted_cpus", lambda root=None: 0.5)
    monkeypatch.setattr(machine, "memory_limit", lambda: 1e9)
    monkeypatch.setattr(machine, "_free", lambda folder: 64_000_000)
    assert machine.machine_problems() == [
        "this machine grants 0.5 of a CPU (quota of its control group): trials run singly and slowly",
        "1.0 GB of memory are granted, and a study with two trials at once takes 2 GB",
        "/dev/shm has 64 MB, so data are kept in slower memory; start the container with a larger one (`docker run "
        "--shm-size 1g`)",
    ]
