"""A study behind a URL whose machine dies: another one, with an empty cache, goes on from what was pushed."""

import os
import shutil
import signal
import time
from collections import Counter

import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records.remote.mirror import owner_at, reading_study
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.test_study import STUDY, finish, start

pytestmark = [pytest.mark.ray, pytest.mark.machines]

TRIALS = 40  # more than end between two pushes


def test_a_study_goes_on_from_its_url_where_the_machine_that_ran_it_and_its_disk_are_gone(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(STUDY)
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    results = ("--results-dir", f"file://{tmp_path}/store")
    command = ("study", "tiny.toml", "--trials", TRIALS, "--pruner", "none", *results)
    running = start(*command, cwd=tmp_path)
    deadline = time.monotonic() + 180
    while not any(trial.intermediate_values for trial in trials_at(results[1])):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    there = trials_at(results[1])
    before = {trial.number: trial.params for trial in there}
    assert len(before) < TRIALS or any(trial.state.name == "RUNNING" for trial in there)
    shutil.rmtree(tmp_path / "cache" / "mirrors")

    code, out, err = finish(start(*command, cwd=tmp_path))
    print(out, err)
    assert code == 0, err
    trials, pushed = trials_at(results[1]), reading_study(results[1], "tiny")
    assert Counter(trial.number for trial in trials) == dict.fromkeys(range(TRIALS), 1)
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert {number: trials[number].params for number in before if before[number]} == {
        n: p for n, p in before.items() if p
    }
    for trial in trials:
        lines = pushed.trial(trial.number).epochs.read_text().splitlines()
        assert len(lines) == 4
        assert [record["epoch"] for record in read_epochs(pushed.trial(trial.number))] == [1, 2, 3, 4]
        assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
    assert owner_at(results[1], "tiny") is None
    code, out, err = finish(start("status", *results, cwd=tmp_path))
    assert code == 0 and "tiny" in out and f"{TRIALS}/{TRIALS}" in out
    print(out)


def trials_at(url):
    """The trials as another machine reads them; none before the first push."""
    try:
        return read_trials(reading_study(url, "tiny"))
    except StudyFolderError:
        return []
