"""`status --watch`: in place on a terminal, a line a change on a pipe, until what runs has ended."""

import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time

import optuna
import pytest
from rich.console import Console

from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import locked
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.study.file import parse_study
from hw2tune.terminal.tables import status_rows
from hw2tune.terminal.upkeep import follow, look_at
from tests.end_to_end.test_terminal import screen
from tests.report.fake_study import write_fake_study

PIPE = Console(file=io.StringIO(), force_terminal=False)
START = [sys.executable, "-m", "hw2tune", "status"]


def begin_trial(folder, *values):
    """One more trial, which runs, with a value an epoch."""
    study = parse_study(folder.study_file.read_text(), "x")
    optuna_study = create_optuna_study(folder, study)
    optuna_study.sampler = optuna.samplers.RandomSampler(seed=0)
    trial = optuna_study.ask()
    study.search_space.suggest(trial)
    for epoch, value in enumerate(values, 1):
        trial.report(value, epoch)
    return trial, optuna_study


def test_a_watcher_sees_a_study_that_is_not_there_yet_start_change_and_end(tmp_path, capsys):
    """What happens is played between two looks; the look behind the run's end is the last."""
    steps = iter(play(tmp_path))

    def look():
        next(steps)
        return look_at(str(tmp_path), "quickstart")

    follow(look, every=0.0, one=True, form="table", console=PIPE)
    lines = [line[9:] for line in capsys.readouterr().out.splitlines()]  # behind the time of day
    assert lines == [
        f"quickstart: {tmp_path}: no study `quickstart`; it holds none yet; `hw2tune study NAME` makes one",
        "quickstart: interrupted, 4 of 6 trials finished, best 92.09 % (#3)",
        "quickstart: running, 4 of 6 trials finished, best 92.09 % (#3)",
        "quickstart: running, 4 of 6 trials finished, best 92.09 % (#3); #4 epoch 2",
        f"quickstart: {tmp_path}: no study `quickstart`; it holds moved",
        "quickstart: running, 5 of 6 trials finished, best 99.00 % (#4)",
        "quickstart: interrupted, 5 of 6 trials finished, best 99.00 % (#4)",
    ]
    assert next(steps, "over") == "over"


def play(results):
    yield
    folder = write_fake_study(results, trials=4, seeds=0)
    folder.study_file.write_text(folder.study_file.read_text().replace("trials = 4", "trials = 6"))
    yield
    yield  # nothing happens: no line
    with locked(folder):
        yield
        trial, study = begin_trial(folder, 0.5, 0.99)
        yield
        aside = folder.root.rename(results / "moved")
        yield
        aside.rename(folder.root)
        study.tell(trial.number, 0.99)
        yield
    yield


def test_json_on_a_pipe_is_one_object_a_change(tmp_path, capsys):
    write_fake_study(tmp_path, trials=4, seeds=0)
    follow(lambda: look_at(str(tmp_path), "quickstart"), every=0.0, one=True, form="json", console=PIPE)
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["name"], json.loads(line)["trials_finished"]) == ("quickstart", 4)


def test_all_studies_are_watched_until_none_runs_any_more(tmp_path, capsys):
    one, _ = write_fake_study(tmp_path, trials=4, seeds=0), write_fake_study(tmp_path, "mnist", trials=2, seeds=0)

    def play():
        yield
        with locked(one):
            yield
            shutil.rmtree(tmp_path / "mnist")
            yield
        yield

    steps = iter(play())
    follow(
        lambda: [next(steps), look_at(str(tmp_path), None)][1], every=0.0, one=False, form="table", console=PIPE
    )  # fmt: skip
    lines = [line[9:].partition(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["mnist: complete", "quickstart: complete", "quickstart: running", "quickstart: complete"]


@pytest.fixture
def running(tmp_path):
    """A study that this process runs."""
    folder = write_fake_study(tmp_path / "ray_results", trials=30, seeds=0)
    with locked(folder):
        yield folder


@pytest.fixture
def terminal(tmp_path):
    """Starts a command on a terminal of 24 lines and 80 columns; the second is what it has written, as it comes."""
    started = []

    def start(*arguments):
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [*START, *arguments], cwd=tmp_path, stdin=its, stdout=its, stderr=its, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(its)
        started.append((process, ours))

        def read(until, seconds=30):
            written, deadline = b"", time.monotonic() + seconds
            while not until(written.decode(errors="replace")):
                assert time.monotonic() < deadline, written
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        written += os.read(ours, 65536)
                    except OSError:  # the other side is closed
                        return written.decode()
            return written.decode()

        return process, read

    yield start
    for process, ours in started:
        process.kill()
        process.wait()
        os.close(ours)


def test_on_a_terminal_it_is_drawn_in_place_fits_and_ctrl_c_ends_it_with_exit_code_0(running, terminal):
    process, read = terminal("quickstart", "--watch", "--every", "0.1")
    written = read(lambda text: text.count("Ctrl-C ends") >= 3)
    process.send_signal(signal.SIGINT)
    written += read(lambda text: False)
    assert process.wait(10) == 0
    left = [line for line in screen(written) if line.strip()]
    assert left[0].startswith("quickstart: running, 30 of 30 trials finished (process ")
    assert left[1].split() == ["trial", "state", "validation", "epoch", "seconds", "configuration"]
    assert len([line for line in left if line.startswith("#")]) == 19 and left[-2].startswith("11 more")
    assert len(left) <= 23 and all(len(line) <= 80 for line in left)
    assert sum("Ctrl-C ends the watching alone" in line for line in left) == 1  # drawn over, not below


def test_seconds_that_are_not_known_yet_are_none(tmp_path):
    folder = write_fake_study(tmp_path)
    begin_trial(folder, 0.5)
    rows = {cells[0]: cells for cells in status_rows(read_overview(folder))}
    assert rows["#10"][3:5] == ("1 of 1", "-")
    assert float(rows["#0 baseline"][4]) > 0


def test_a_reader_that_leaves_ends_the_watching(running, tmp_path):
    process = subprocess.Popen(
        [*START, "quickstart", "--watch", "--every", "0.1"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert "running, 30 of 30" in process.stdout.readline()
        process.stdout.close()
        begin_trial(StudyFolder(running.root), 0.5)  # something to say, and nobody to say it to
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
