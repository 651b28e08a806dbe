"""A training and its result, without the images: `train` carries it out, Tune and plain Ray tasks hand it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.schema import Study


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """The arguments of a network.

    `model` is a name, or code as study files name it, of which `code` holds the study's own files. `input_shape` is
    that of an image as networks take it (channels, height, width); `classes` are the names of the labels.
    """

    model: str
    code: Mapping[str, str] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training: everything that its result depends on, except the images."""

    model: str
    loss: str
    hyperparameters: Hyperparameters
    seed: int
    max_epochs: int
    objective: str
    code: Mapping[str, str] = field(default_factory=dict)  # the study's own files, by name

    def blueprint(self, info: DatasetInfo) -> Blueprint:
        """Return the arguments of its network, for images of this data set."""
        height, width, channels = info.image_shape
        return Blueprint(
            model=self.model,
            code=self.code,
            input_shape=(channels, height, width),
            classes=info.classes,
            hyperparameters=self.hyperparameters.model,
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to be done. The label is for people; the key is a digest of all that its result depends on."""

    label: str
    task: Task
    key: str = ""
    split: int = 0  # of the images: 0 is the study's own, see `study.splits`


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The part of a data set that trials get through Ray's object store. The test images are not in it."""

    info: DatasetInfo
    train: Split
    validation: Split


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """The networks to be tried, on these images, and how their speed is measured: for so many seconds in all."""

    tasks: Sequence[Task]
    batch_sizes: Sequence[int]
    data: TrialData
    threads: int = 1
    gpu: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PublishedEvaluation:
    """Train as the published runs did: each epoch evaluated on their "test" images, and on the real ones."""

    test: Split
    evaluated: Literal["test", "train"]  # what was called test


def task_of(study: Study, hyperparameters: Hyperparameters, seed: int) -> Task:
    """Return a training of the study."""
    return Task(
        model=study.model,
        loss=study.loss,
        hyperparameters=hyperparameters,
        seed=seed,
        max_epochs=study.max_epochs,
        objective=study.objective,
        code=study.code,
    )
