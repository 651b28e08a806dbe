"""Every way in which a command is ended from outside, at every stage: the same words, the same code, nothing left."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hw2tune.interrupt import INTERRUPTED
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.command import Command
from tests.end_to_end.test_study import STUDY

pytestmark = [pytest.mark.ray, pytest.mark.matrix]

ENDED = "hw2tune: interrupted; finished work is kept, run the same command again to continue\n"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a study file, and a short temporary folder beside nothing else."""
    (tmp_path / "tiny.toml").write_text(STUDY.replace('"asha"', '"none"'))
    return tmp_path


def scratch_folders() -> list[str]:
    return [path.name for path in Path(os.environ["TMPDIR"]).glob("hw2tune-*")]


def searching(place: Path) -> bool:
    return bool(read_epochs(StudyFolder(place / "ray_results" / "tiny").trial(2)))


def assert_nothing_of_rays(text: str) -> None:
    for word in ("raylet", "GCS", "Traceback", "SIGTERM", "[ray", "Stack trace"):
        assert word not in text


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda command: command.signal_group(signal.SIGTERM), id="timeout"),
        pytest.param(lambda command: command.signal_group(signal.SIGHUP), id="hang-up"),
        pytest.param(lambda command: command.signal_everybody(), id="systemd"),
        pytest.param(lambda command: command.signal_everybody(signal.SIGUSR1), id="usr1"),
        pytest.param(lambda command: command.signal_everybody(signal.SIGUSR2), id="usr2"),
        pytest.param(lambda command: command.signal_everybody(signal.SIGXCPU), id="xcpu"),
    ],
)
def test_a_search_is_ended_in_order_whoever_gets_the_signal(place, end):
    command = Command("study", "tiny.toml", "--trials", 400, "--retries", 0, cwd=place)
    command.wait_until(lambda: searching(place))
    end(command)
    code, out, err = command.finish(within=20)
    assert code == INTERRUPTED, err
    assert "the same command continues" in out
    assert_nothing_of_rays(out + err)
    assert command.left_running() == [] and scratch_folders() == []
    states = {trial.state.name for trial in read_trials(StudyFolder(place / "ray_results" / "tiny"))}
    assert states <= {"COMPLETE", "RUNNING"}  # none is lost, though no retry was allowed
    assert not (place / "ray_results" / "tiny" / "running.json").exists()


def test_a_hang_up_writes_its_line_to_a_file(place):
    with (place / "err.txt").open("w") as err:
        command = Command("study", "tiny.toml", "--trials", 400, "--quiet", cwd=place, stderr=err)
        command.wait_until(lambda: searching(place))
        command.signal_group(signal.SIGHUP)
        code, out, _ = command.finish()
    assert (code, "the same command continues" in out) == (INTERRUPTED, True)
    assert (place / "err.txt").read_text() == ENDED


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5, 5.0])
def test_a_study_that_is_starting_ends_with_one_line(place, seconds):
    command = Command("study", "tiny.toml", "--trials", 400, cwd=place)
    command.wait_until(lambda: command.hears(signal.SIGTERM))
    time.sleep(seconds)
    command.signal_group(signal.SIGTERM)
    code, out, err = command.finish()
    assert (code, out, err) == (INTERRUPTED, "", ENDED) or (code, "continues" in out) == (INTERRUPTED, True)
    assert_nothing_of_rays(out + err)
    assert command.left_running() == [] and scratch_folders() == []


def test_replicating_and_reproducing_end_in_the_same_way(place):
    code, _, err = Command("study", "tiny.toml", "--trials", 3, "--max-epochs", 1, cwd=place).finish()
    assert code == 0, err
    trainings = place / "ray_results" / "tiny" / "replicates" / "trainings"
    summary = Command("summarize", "tiny", "--replicates", 60, cwd=place)
    summary.wait_until(lambda: trainings.is_dir() and any(trainings.iterdir()))
    summary.signal_group(signal.SIGTERM)
    code, out, err = summary.finish()
    assert (code, out) == (INTERRUPTED, "")
    assert err.endswith("and every finished training are kept, the same command continues\n")
    assert "hw2tune: interrupted; " in err
    assert_nothing_of_rays(err)
    assert summary.left_running() == [] and scratch_folders() == []


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_a_second_ctrl_c_ends_at_once(place, seconds):
    command = Command("study", "tiny.toml", "--trials", 400, cwd=place)
    command.wait_until(lambda: searching(place))
    command.signal_group(signal.SIGINT)
    time.sleep(seconds)
    command.signal_group(signal.SIGINT)
    code, out, err = command.finish()
    assert code == INTERRUPTED
    assert_nothing_of_rays(out + err)
    assert command.left_running() == [] and scratch_folders() == []


def test_a_terminal_that_goes_away_ends_no_study_that_ignores_hang_ups(place):
    master, slave = pty.openpty()
    command = Command(
        "study", "tiny.toml", "--trials", 8, "--summarize", "--replicates", 1, "--max-epochs", 2, cwd=place,
        stdout=slave, stderr=slave, stdin=slave, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    os.close(slave)
    command.wait_until(lambda: searching(place))
    os.close(master)  # from here on every write to the terminal fails
    assert command.process.wait(240) == 0
    states = [trial.state.name for trial in read_trials(StudyFolder(place / "ray_results" / "tiny"))]
    assert states == ["COMPLETE"] * 8
    assert (place / "ray_results" / "tiny" / "report" / "index.html").exists()


def test_a_pipe_whose_reader_leaves_ends_no_study(place):
    command = Command("study", "tiny.toml", "--trials", 8, "--max-epochs", 2, cwd=place)
    command.process.stderr.close()
    command.process.stdout.close()
    assert command.process.wait(240) == 0
    assert len(read_trials(StudyFolder(place / "ray_results" / "tiny"))) == 8


def test_closed_streams_are_no_files_of_ours(place):
    shown = subprocess.run(["sh", "-c", f"{sys.executable} -m hw2tune status >&- 2>&- <&-"], cwd=place)
    assert shown.returncode == 0


def test_a_stopped_study_goes_on_where_it_was(place):
    command = Command("study", "tiny.toml", "--trials", 12, cwd=place)
    command.wait_until(lambda: searching(place))
    command.signal_group(signal.SIGSTOP)  # Ctrl-Z, a laptop's lid
    time.sleep(15)
    command.signal_group(signal.SIGCONT)
    code, _, err = command.finish()
    assert code == 0, err
    assert {trial.state.name for trial in read_trials(StudyFolder(place / "ray_results" / "tiny"))} == {"COMPLETE"}


def test_what_a_killed_command_leaves_is_removed_by_the_next(place):
    command = Command("study", "tiny.toml", "--trials", 400, cwd=place)
    command.wait_until(lambda: searching(place))
    command.process.kill()
    assert command.finish()[0] == -signal.SIGKILL
    assert len(scratch_folders()) == 1
    code, _, err = Command("study", "tiny.toml", "--trials", 4, cwd=place).finish()
    assert code == 0, err
    assert scratch_folders() == []
    deadline = time.monotonic() + 100
    while command.left_running() and time.monotonic() < deadline:
        time.sleep(1)
    assert command.left_running() == []
