"""Two arms from the search to an exported network, in processes as a user runs them; killed in the second arm."""

import json
import signal
import time

import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.test_study import start
from tests.execution.test_arms import FILE

pytestmark = [pytest.mark.ray, pytest.mark.matrix]

SIDES = FILE.replace('"synthetic-mnist"', '"mnist-5k"').replace("trials = 3", "trials = 3\nreplicates = 2")


def test_two_arms_are_searched_killed_continued_compared_and_exported(tmp_path):
    (tmp_path / "sides.toml").write_text(SIDES)
    folder = StudyFolder(tmp_path / "ray_results" / "sides")
    second = StudyFolder(folder.arms / "no-l2")

    def run(*arguments):
        command = start(*arguments, cwd=tmp_path)
        out, err = command.communicate(timeout=300)
        assert command.returncode == 0, err
        return out

    killed = start("study", "sides.toml", cwd=tmp_path)
    until = time.monotonic() + 200
    while not second.journal.exists() or not read_trials(second):
        assert time.monotonic() < until and killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = {row.number: row for row in read_overview(folder).searches[0].rows}
    assert len(before) == 3 and read_overview(folder).state == "interrupted"

    shown = json.loads(run("study", "sides.toml", "--summarize", "--json"))
    [study] = shown["studies"]
    assert study["trials"] == {
        "planned": 6, "finished": 6, "done": 6, "extent": 6, "unit": "trials", "states": {"complete": 6},
    }  # fmt: skip
    assert {row.number: row for row in read_overview(folder).searches[0].rows} == before, "the first arm is left alone"
    [claim] = study["claims"]
    assert (claim["variant"], claim["against"], claim["n"], claim["seeds"]) == ("l2", "no-l2", 2, [1, 2])
    assert {(one["variant"], one["seed"]) for one in study["replicates"]} == {
        (arm, seed) for arm in ("l2", "no-l2") for seed in (1, 2)
    }
    assert "no-l2  complete  3/3" in run("status", "sides")
    assert json.loads(run("status", "sides", "--arm", "no-l2", "--json"))["trials_finished"] == 3
    run("export", "sides", "--arm", "l2", "--to", "l2.safetensors")
    run("export", "sides", "--arm", "no-l2", "--trial", "1", "--to", "trial.safetensors")
    assert "l2, seed 1" in (tmp_path / "l2.safetensors.md").read_text()
