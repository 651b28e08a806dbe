"""Whole studies with Ray, as a user runs them: one command after another in one folder."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials

pytestmark = [pytest.mark.ray, pytest.mark.matrix]  # by default: test_summarize and test_endings

STUDY = """
name = "tiny"
dataset = "synthetic-mnist"
model = "mnist_cnn"
loss = "cross_entropy"
max_epochs = 4
validation_size = 100
trials = 6
[pruner]
name = "asha"
min_epochs = 1
reduction_factor = 2
[space]
learning_rate = { low = 1e-3, high = 1e-2, log = true }
batch_size = { choices = [32, 64] }
optimizer = { choices = ["sgd", "adam"] }
momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }
weight_decay = { low = 1e-6, high = 1e-1, log = true, or_zero = true }
[published.baseline]
learning_rate = 0.001
batch_size = 64
optimizer = "adam"
weight_decay = 0.0
[published.l2]
learning_rate = 0.001
batch_size = 64
optimizer = "adam"
weight_decay = 1e-4
"""
# Every trial but the published ones leaves the numbers that a float can hold.
DIVERGING = (
    STUDY.replace("synthetic-mnist", "synthetic-cifar10").replace("mnist_cnn", "cifar10_cnn")
    .replace('"tiny"', '"wild"').replace("low = 1e-3, high = 1e-2", "low = 1e-3, high = 1e15")
)  # fmt: skip


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hw2tune", *map(str, arguments)], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str], within: float = 240) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=within)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A folder in which a study was run, interrupted by Ctrl-C and continued twice."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "tiny.toml").write_text(STUDY)
    return folder


def test_a_study_is_interrupted_and_continued_without_a_loss(results):
    folder = StudyFolder(results / "ray_results" / "tiny")
    running = start("study", "tiny.toml", "--trials", "8", cwd=results)
    deadline = time.monotonic() + 120
    while not any(read_epochs(folder.trial(number)) for number in (2, 3, 4)):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    code, out, err = finish(running, within=10)
    assert code == 130
    assert "the same command continues" in out
    before = {trial.number: dict(trial.params) for trial in read_trials(folder)}

    for trials in (8, 10):
        code, out, err = finish(start("study", "tiny.toml", "--trials", trials, cwd=results))
        assert code == 0, err
        assert "resumed" in err and " finished" in err
        assert_nothing_of_rays(out, err)
    trials = read_trials(folder)
    assert {number: dict(trials[number].params) for number in before} == before
    assert len(trials) == 10
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    configurations = [json.dumps(trial.params, sort_keys=True) for trial in trials]
    assert len(set(configurations)) == 10
    for trial in trials:
        epochs = [record["epoch"] for record in read_epochs(folder.trial(trial.number))]
        assert epochs == sorted(trial.intermediate_values) == list(range(1, len(epochs) + 1))
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
        assert (len(epochs) == 4) == (trial.state.name == "COMPLETE")
    assert trials[0].state.name == trials[1].state.name == "COMPLETE"


def test_the_folder_holds_what_later_commands_read(results):
    folder = StudyFolder(results / "ray_results" / "tiny")
    rows = list(csv.DictReader(folder.trials_table.read_text().splitlines()))
    assert [int(row["number"]) for row in rows] == list(range(10))
    assert [row["label"] for row in rows[:3]] == ["baseline", "l2", ""]
    for trial in read_trials(folder):
        values = [record["validation_accuracy"] for record in read_epochs(folder.trial(trial.number))]
        assert float(rows[trial.number]["value"]) == max(values)
        assert {path.name for path in folder.trial(trial.number).root.iterdir()} == {
            "params.json", "result.json", "best.npz",
        }  # fmt: skip
    runs = json.loads(folder.environment.read_text())["runs"]
    assert len(runs) == 3 and runs[0]["data"]["checksum"].startswith("sha256:")
    assert not folder.root.joinpath("running.json").exists()


def test_the_best_weights_on_disk_score_the_value_of_their_trial(results):
    import torch

    from hw2tune.data.load import load_dataset
    from hw2tune.train.device import on_device
    from hw2tune.train.loop import predict
    from hw2tune.train.models import build_model
    from hw2tune.train.task import Blueprint

    folder = StudyFolder(results / "ray_results" / "tiny")
    data = load_dataset("synthetic-mnist", validation_size=100)
    best = max((t for t in read_trials(folder) if t.state.name == "COMPLETE"), key=lambda trial: trial.value)
    model = build_model(Blueprint(model="mnist_cnn"), torch.device("cpu"))
    weights = np.load(folder.trial(best.number).weights)
    model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    validation = on_device(data.validation, data.info, torch.device("cpu"))
    accuracy = (predict(model, validation).argmax(1) == validation.labels).double().mean().item()
    assert accuracy == pytest.approx(best.value)


def test_the_same_command_again_has_nothing_to_do_and_says_so_in_json(results):
    code, out, err = finish(start("study", "tiny.toml", "--trials", "10", "--json", "--quiet", cwd=results))
    assert (code, err) == (0, "")
    study = json.loads(out)
    assert (study["trials_finished"], study["state"]) == (10, "complete")


@pytest.mark.matrix
def test_a_diverging_trial_is_a_failure_with_its_reason_and_the_study_goes_on(results):
    (results / "wild.toml").write_text(DIVERGING)
    code, out, err = finish(start("study", "wild.toml", "--trials", "8", "--sampler", "random", cwd=results))
    assert code == 0, err
    trials = read_trials(StudyFolder(results / "ray_results" / "wild"))
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    assert failed and all(trial.user_attrs["reason"].startswith("diverged in epoch") for trial in failed)
    assert trials[0].state.name == trials[1].state.name == "COMPLETE"
    assert "diverged" in out
    assert_nothing_of_rays(out, err)


def assert_nothing_of_rays(out: str, err: str) -> None:
    for word in ("raylet", "WARNING", "ray.", "pid=", "Trial status", "Traceback", "trial_id"):
        assert word not in out + err
