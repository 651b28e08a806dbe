"""README's picture of the live display is of a moment at which every slot has a trial with an epoch behind it."""

import pytest

from benchmarks.pictures import Camera
from hw2tune.events import EpochFinished, StudyStarted, TrialFinished, TrialStarted
from hw2tune.records.trials.rows import TrialRow
from hw2tune.resources import Capacity
from hw2tune.study.file import find_study, parse_study

PARAMS = {"learning_rate": 0.01, "batch_size": 32, "optimizer": "adam", "weight_decay": 0.0}
ROW = TrialRow(
    number=0, label="", state="complete", reason="", epochs=1, value=0.9, best_epoch=1, seconds=1.0, params=PARAMS
)  # fmt: skip


def epoch(trial: int, number: int) -> EpochFinished:
    record = {"epoch": number, "validation_accuracy": 0.9 + number / 1000, "images_per_second": 100.0}
    return EpochFinished(trial=trial, record=record)


@pytest.fixture
def camera() -> Camera:
    camera = Camera()
    camera(StudyStarted(
        study=parse_study(*find_study("quickstart")), finished=[], resumed={}, dataset="MNIST-5k", folder="quickstart",
        capacity=Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs"),
        dataset_checksum="sha256:00", sizes={"train": 4000, "validation": 500, "test": 500},
    ))  # fmt: skip
    for trial in (0, 1):
        camera(TrialStarted(trial=trial, label="", params=PARAMS))
    return camera


def test_the_last_moment_with_every_slot_busy_is_kept(camera: Camera) -> None:
    camera(epoch(0, 1))
    assert not camera.svg  # the second trial has no epoch yet
    camera(epoch(1, 1))
    camera(epoch(0, 2))
    assert "90.20" in camera.svg and "$&#160;hw2tune&#160;study&#160;quickstart" in camera.svg
    kept = camera.svg
    camera(TrialFinished(row=ROW))
    camera(epoch(1, 2))
    assert camera.svg == kept
