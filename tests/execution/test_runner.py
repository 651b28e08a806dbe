"""Runs of Tune that end in an exception, as Ray's memory monitor makes them on a cluster; and slow workers."""

import json
import subprocess
import sys

import pytest
from optuna.trial import TrialState

from hw2tune.data.load import load_dataset
from hw2tune.events import Observer
from hw2tune.execution import runner
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.resources import Room, Wish
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import read_trials
from hw2tune.study.file import find_study, parse_study

STUDY = parse_study(*find_study("quickstart"), overrides={"trials": 3})


class OneMachine(Cluster):
    """A machine without Ray."""

    machines = ("a",)
    here = "a"

    def room(self, left_out=(), *, at_most=False) -> Room:
        return Room(cpus_per_trial=1, gpus_per_trial=0, concurrency=1, words="1 CPU")


def run(folder: StudyFolder) -> None:
    data = load_dataset("synthetic-mnist", validation_size=100)
    runner.run_study(STUDY, folder=folder, data=data, cluster=OneMachine(wish=Wish()), observer=Observer())


def test_a_trial_that_ends_tune_twice_is_lost_and_the_study_goes_on(tmp_path, monkeypatch):
    runs = []

    def tune_run(search, **_):  # stands for Tune alone: all that is ours runs
        ledger = search.ledger
        runs.append(len(ledger.trials(TrialState.RUNNING)))
        if len(runs) == 1:
            ledger.open_trial()
        if len(runs) <= 2:
            raise RuntimeError("worker killed for memory\nand more lines")
        for _ in range(2):
            trial = ledger.open_trial()
            trial.report(0.5, 1)
            ledger.close_trial(trial, TrialState.COMPLETE)
        return "complete"

    monkeypatch.setattr(runner, "_fit", tune_run)
    folder = StudyFolder(tmp_path)
    run(folder)
    assert runs == [0, 1, 0]  # taken up once, then given up
    assert [trial.state.name for trial in read_trials(folder)] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert read_trials(folder)[0].user_attrs["reason"] == "lost: RuntimeError: worker killed for memory"
    assert "RuntimeError" in (folder.trial(0).root / "error.txt").read_text()
    assert len(folder.trials_table.read_text().splitlines()) == 4


def test_an_exception_with_no_trial_to_blame_is_not_swallowed(tmp_path, monkeypatch):
    def tune_run(search, **_):
        raise RuntimeError("no Tune today")

    monkeypatch.setattr(runner, "_fit", tune_run)
    with pytest.raises(RuntimeError, match="no Tune today"):
        run(StudyFolder(tmp_path))


SLOW_STARTS = """
import json, os, sys, time
from pathlib import Path
import ray
from ray import tune
from hw2tune.data.load import load_dataset
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.layout import StudyFolder
from hw2tune.study.file import find_study, parse_study
from hw2tune.execution import runner
from hw2tune.execution.cluster import Cluster
from hw2tune.events import Observer
from hw2tune.execution.resources import Wish

place = Path(sys.argv[1])

class Quick(tune.Trainable):
    def setup(self, config, **_):
        (place / f"worker-{os.getpid()}").touch()
        time.sleep(4 if len(list(place.glob("worker-*"))) > 1 else 0)

    def reset_config(self, config):
        return True

    def step(self):
        time.sleep(0.05)
        return {"epoch": 1, "train_loss": 1.0, "validation_accuracy": 0.5, "validation_loss": 1.0,
                "images_per_second": 1.0, "epoch_seconds": 0.05, "checkpoint": b"", "done": True}

runner.TrainingTrial = Quick
folder = StudyFolder(place)
study = parse_study(*find_study("quickstart"), overrides={"trials": 200, "sampler": "random"})
data = load_dataset("synthetic-mnist", validation_size=100)
ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
runner.run_study(study, folder=folder, data=data, cluster=Cluster(wish=Wish()), observer=Observer())
print(json.dumps([[epoch["pid"] for epoch in read_epochs(folder.trial(number))] for number in range(200)]))
"""


@pytest.mark.ray
def test_workers_that_start_more_slowly_than_trials_end_are_awaited_and_used(tmp_path):
    # Tune alone ends a worker that is starting as soon as another one is free: the first would run the whole study.
    shown = subprocess.run(
        [sys.executable, "-c", SLOW_STARTS, str(tmp_path)], check=True, stdout=subprocess.PIPE, text=True
    )
    epochs = json.loads(shown.stdout.splitlines()[-1])
    assert [len(pids) for pids in epochs] == [1] * 200
    assert len({pid for [pid] in epochs}) == len(list(tmp_path.glob("worker-*"))) == 3
