"""A study that version 0.1 wrote at commit dcde57b, with its replicates: read, reported and continued.

`tiny/` is what `hw2tune study tiny.toml --trials 5 --max-epochs 3 --summarize --replicates 2` left, without the arrays
(`*.pt`, `*.npz`) and the report.
"""

import csv
import shutil
from pathlib import Path

import pytest

import hw2tune
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.study.hyperparameters import identity


@pytest.fixture
def results(tmp_path) -> Path:
    shutil.copytree(Path(__file__).with_name("tiny"), tmp_path / "tiny")
    return tmp_path


def test_its_trials_and_epochs_are_read(results):
    study = hw2tune.read_study("tiny", results_dir=results)
    with (results / "tiny" / "trials.csv").open() as table:
        written = list(csv.DictReader(table))
    assert study.state == "complete" and len(study.trials) == 5
    for (_, row), line in zip(study.trials.iterrows(), written, strict=True):
        assert (str(row["number"]), row["label"], row["state"]) == (line["number"], line["label"], line["state"])
        assert row["value"] == pytest.approx(float(line["value"]))
    assert study.epochs.groupby("trial")["epoch"].max().tolist() == [int(line["epochs"]) for line in written]


def test_its_replicates_are_reported_with_the_race(results):
    study = hw2tune.read_study("tiny", results_dir=results)
    assert study.variants["variant"].tolist() == ["baseline", "l2", "tuned", "tuned-no-l2"]
    assert study.pairs["n"].tolist() == [2, 2, 0]  # the winner has no weight decay to take away
    report = hw2tune.write_report("tiny", results_dir=results)
    page = report.page.read_text()
    assert "The winner" in page or "won" in page
    assert "is damaged" not in page


def test_it_is_continued_without_a_repetition(results):
    study = hw2tune.load_study(results / "tiny" / "study.toml", overrides={"trials": 7, "pruner.name": "none"})
    folder, tell = StudyFolder(results / "tiny"), Listeners()
    optuna_study = create_optuna_study(folder, study)
    before = [identity(study.search_space.decode(trial.params)) for trial in optuna_study.trials]
    recorder = Recorder(study, optuna_study, folder, tell)
    recorder.enqueue_references()
    optuna_study.sampler, optuna_study.pruner = build_sampler(study, 5), build_pruner(study)
    driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
    given = []
    while isinstance(assignment := driver.next(), Assignment):
        given.append(assignment)
        for epoch in (1, 2, 3):
            record = {"epoch": epoch, "validation_accuracy": 0.5, "epoch_seconds": 0.1, "images_per_second": 1.0}
            verdict = driver.epoch(assignment.trial, EpochResult(record=record, checkpoint=b""))
        assert verdict is Decision.STOP
        driver.ended(assignment.trial, Outcome())
    assert [assignment.trial for assignment in given] == [5, 6]
    assert not any(identity(assignment.hyperparameters) in before for assignment in given)
    assert len(hw2tune.read_study("tiny", results_dir=results).trials) == 7
