"""Ray's processes at the end of a command: found while they begin, ended and taken off the kernel's table."""

import errno
import os
import subprocess
import sys
import time

import psutil
import pytest

from hw2tune.execution.processes import processes_of, see_off


@pytest.mark.parametrize("error", [None, errno.ENOENT, errno.EPERM, errno.ENOSYS])  # of the kernel's descriptors
@pytest.mark.parametrize("ended", [False, True])
def test_processes_are_seen_off_and_no_zombie_is_left(monkeypatch, ended, error):
    def open_none(pid, flags=0):
        raise OSError(error, os.strerror(error))

    child = subprocess.Popen(["true" if ended else "sleep", "60"])
    process = psutil.Process(child.pid)
    while ended and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    if error is not None:
        monkeypatch.setattr(os, "pidfd_open", open_none)
    see_off([process], seconds=0)
    assert not psutil.pid_exists(child.pid)
    child.wait(5)


def test_a_process_that_ends_in_time_is_not_killed(tmp_path):
    words = "import pathlib, sys, time; time.sleep(0.3); pathlib.Path(sys.argv[1]).touch()"
    child = subprocess.Popen([sys.executable, "-c", words, tmp_path / "ended"])
    see_off([psutil.Process(child.pid)], seconds=60)
    assert (tmp_path / "ended").exists() and not psutil.pid_exists(child.pid)
    child.wait(5)


def test_a_child_of_a_child_is_seen_off():
    shell = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    sleeper = psutil.Process(int(shell.stdout.readline()))
    see_off([sleeper], seconds=0)
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    shell.communicate(timeout=60)


def test_a_process_that_begins_is_found_when_it_has_its_command_line(monkeypatch, tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    answers = [[], [], ["raylet", f"--session={tmp_path}/session"]]
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "cmdline", lambda self: answers.pop(0) if self.pid == child.pid else [])
        patch.setattr(psutil.Process, "children", lambda self, recursive: [psutil.Process(child.pid)])
        assert [one.pid for one in processes_of(tmp_path)] == [child.pid]
    child.kill()
    child.wait()


def test_a_child_of_the_callers_own_keeps_its_exit_code(tmp_path):
    child = subprocess.Popen(["false", str(tmp_path)])
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert processes_of(tmp_path) == []
    assert child.wait(5) == 1
