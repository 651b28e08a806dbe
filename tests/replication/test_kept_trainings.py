"""Trainings that are kept: whose epoch was chosen without a value is trained again, with a line."""

import numpy as np
import pytest

from hw2tune.data.load import load_dataset
from hw2tune.events import Event, Listeners, Noted
from hw2tune.records.replicates import ReplicatesFolder, Training, write_training
from hw2tune.replication.train import Context, key_of, train_missing
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.task import Job, task_of
from tests.without_ray import RayNeededError, WithoutRay

STUDY = parse_study(*find_study("quickstart"))


@pytest.fixture
def context(tmp_path):
    events: list[Event] = []
    tell = Listeners([events.append])
    data = load_dataset("synthetic-mnist", validation_size=100)
    connection = WithoutRay(ResourceRequest(), tell)
    folder = ReplicatesFolder(tmp_path)
    return Context(study=STUDY, folder=folder, data=data, connection=connection, tell=tell), events


def kept(context: Context, value: float) -> Job:
    """A training on disk whose chosen epoch, the first, has this value."""
    job = Job(label="baseline seed 1", task=task_of(STUDY, STUDY.hyperparameters(STUDY.references["baseline"]), 1))
    write_training(
        context.folder.trainings,
        Training(
            key=key_of(job.task, context.data, context.capacity), chosen_epoch=1, diverged="", label=job.label,
            epochs=[{"epoch": 1, "validation_accuracy": value}], arrays={"chosen/w": np.ones(1)},
        ),
    )  # fmt: skip
    return job


def test_a_training_that_is_there_needs_no_ray(context):
    context, _ = context
    train_missing(context, [kept(context, 0.9)])


def test_a_training_that_version_0_1_chose_without_a_value_is_trained_again(context):
    context, events = context
    job = kept(context, 0.9)
    path = next(context.folder.trainings.glob("*/training.json"))
    path.write_text(path.read_text().replace("0.9", "NaN"))  # as 0.1 wrote it
    with pytest.raises(RayNeededError):
        train_missing(context, [job])
    line = "baseline seed 1: trained again, as version 0.1 chose an epoch without a finite validation_accuracy"
    assert events == [Noted(text=line)]
