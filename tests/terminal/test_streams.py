"""Standard output carries results alone; what is drawn suits the terminal."""

import io
import subprocess
import sys

import pytest

from hw2tune.terminal.progress import Display, Lines, progress
from tests.command_line import hw2tune

NOISY = """
import os, subprocess, sys
from hw2tune.terminal.streams import make_streams_last, results, stdout_for_results

make_streams_last()
print("before")
with stdout_for_results():
    print("user")
    os.write(1, b"library\\n")
    subprocess.run(["echo", "child"])
    print("result", file=results())
print("after")
"""
STUDY = """name = "tiny"
dataset = "data.py:load"
model = "mnist_cnn"
max_epochs = 1
trials = 2

[training]
batch_size = 32
optimizer = "adam"

[space]
learning_rate = { low = 1e-3, high = 1e-1, log = true }
"""


def test_only_results_reach_stdout():
    shown = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True)
    assert shown.stdout.splitlines() == ["before", "result", "after"]
    assert sorted(shown.stderr.splitlines()) == ["child", "library", "user"]


def test_a_data_function_that_prints_reaches_stderr_alone(tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    (tmp_path / "data.py").write_text("print('top')\n\ndef load():\n    print('loading')\n    raise OSError('gone')\n")
    shown = hw2tune("check", "./tiny.toml", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.splitlines()[:2] == ["top", "loading"] and "gone" in shown.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "kind"), [("dumb", Lines), ("xterm", Display)])
def test_a_dumb_terminal_gets_a_line_per_trial(monkeypatch, term, kind):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(quiet=False) as tell:
        assert [type(listener) for listener in tell.listeners] == [kind]
