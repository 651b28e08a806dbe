"""`hw2tune dashboard` as a process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.report.fake_study import write_fake_study

COMMAND = [sys.executable, "-m", "hw2tune", "dashboard"]


def hw2tune_dashboard(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_in_silence_and_ends_in_order(tmp_path, number):
    write_fake_study(tmp_path / "ray_results", trials=3, seeds=0)
    damaged = write_fake_study(tmp_path / "ray_results", "cifar10", trials=3, seeds=0)
    damaged.study_file.write_text("no TOML")
    process = subprocess.Popen(
        COMMAND, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    line = process.stdout.readline()
    found = re.fullmatch(r"dashboard: (http://127\.0\.0\.1:\d+)/dashboard \(Ctrl-C ends it\)\n", line)
    assert found, (line, process.stderr.read())
    with urllib.request.urlopen(f"{found[1]}/api/studies", timeout=60) as answer:
        assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["quickstart"]
    process.send_signal(number)
    time.sleep(0.05)
    process.send_signal(number)  # an impatient person, and `timeout`
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert err.startswith("cifar10 is left out: ray_results/cifar10/study.toml: ") and err.count("\n") == 1


def test_where_there_is_nothing_to_show_it_says_so(tmp_path):
    ended = hw2tune_dashboard(cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "hw2tune: no studies in ray_results yet; `hw2tune study quickstart` makes one\n"
    write_fake_study(tmp_path / "ray_results", trials=3, seeds=0)
    ended = hw2tune_dashboard("mnist", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "hw2tune: ray_results: no study `mnist`; it holds quickstart\n"


def test_beside_a_study_that_is_handed_over_it_is_refused(tmp_path):
    ended = subprocess.run(
        [*COMMAND[:-1], "study", "quickstart", "--dashboard", "--address", "http://127.0.0.1:1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "a study that is handed over runs elsewhere" in re.sub(r"[│\s]+", " ", ended.stderr)
