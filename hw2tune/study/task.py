"""One training to be done, apart from its images: what train does and tune hands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training: everything that its result depends on but the images."""

    model: str
    loss: str
    hyperparameters: Hyperparameters
    seed: int
    max_epochs: int
    objective: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to be done; the label is for people."""

    label: str
    task: Task


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """What a trial gets of a data set, through Ray's object store. The test images are not among it."""

    info: DatasetInfo
    train: Split
    validation: Split


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What came of a task: its epochs and, for a training kept whole, its weights.

    `epochs` hold losses in nats per image, accuracies as fractions, seconds; `arrays` are numpy, named as in
    `records.replicates.trainings.Training`. `diverged` says how, and is empty where it went well.
    """

    task: Task
    epochs: list[dict[str, Any]]
    chosen_epoch: int | None
    diverged: str
    arrays: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PublishedEvaluation:
    """Train as the published runs did: each epoch evaluated on what they called test, and on the real test images."""

    test: Split
    evaluated: Literal["test", "train"]  # what was called test


def task_of(study: Study, hyperparameters: Hyperparameters, seed: int) -> Task:
    """A training as the study trains."""
    return Task(
        model=study.model,
        loss=study.loss,
        hyperparameters=hyperparameters,
        seed=seed,
        max_epochs=study.max_epochs,
        objective=study.objective,
    )
