"""`Trainer`, once a process, and `Session`, one training: the same for trials and for replicates."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Any

import torch

from hw2tune.records.atomic import Content
from hw2tune.records.replicates import Training
from hw2tune.study.objectives import never_finite, objective_of, sign_of
from hw2tune.train.device import DeviceSplit, TrainingData, on_device, prepare_process
from hw2tune.train.evaluate import evaluation
from hw2tune.train.loop import DivergedError, predict, train_epochs
from hw2tune.train.metrics import metric_of
from hw2tune.train.state import Best, checkpoint, new_state, restore, size_of, weights_of
from hw2tune.train.task import Task, TrialData


class Session:
    """One training in progress: its network, optimizers and generators, after `state.epoch` epochs."""

    def __init__(self, task: Task, data: TrainingData, device: torch.device, saved: Content | None = None) -> None:
        self.task = task
        self.state = new_state(task.blueprint(data.info), task.hyperparameters, seed=task.seed, device=device)
        self.best = None if saved is None else restore(self.state, saved)  # so far
        self._epochs = train_epochs(
            self.state,
            task.hyperparameters,
            data,
            loss=task.loss,
            max_epochs=task.max_epochs,
            metric=metric_of(task.objective, task.code),
        )

    @property
    def parameters(self) -> int:
        """The number of values in the trained parameters of the network."""
        return sum(one.numel() for one in self.state.model.parameters() if one.requires_grad)

    @property
    def finished(self) -> bool:
        """Return whether all epochs are trained."""
        return self.state.epoch >= self.task.max_epochs

    def step(self) -> dict[str, Any]:
        """Train the next epoch; return its record. Raises DivergedError if the loss is no longer a finite number."""
        record = next(self._epochs)
        value = float(record.get(self.task.objective, math.nan))  # of no validation images there is none
        sign = sign_of(objective_of(self.task.objective).direction)
        if math.isfinite(value) and (self.best is None or sign * value > sign * self.best.value):
            self.best = Best(epoch=self.state.epoch, value=value, weights=weights_of(self.state.model))
        return record

    @property
    def at_best(self) -> bool:
        """Return whether no epoch so far was better than the last one, and none before as good."""
        return self.best is not None and self.best.epoch == self.state.epoch

    @property
    def size(self) -> int:
        """Bytes of a checkpoint, nearly."""
        return size_of(self.state)

    def checkpoint(self) -> memoryview:
        """Return the state for `Trainer.open`, which continues exactly (on the CPU, bit for bit)."""
        return checkpoint(self.state, self.best)


class Trainer:
    """State of a process that trains: its device, its threads, and the images on the device. Excludes test images.

    Raises DeviceError if a GPU was given and cannot be used.
    """

    def __init__(self, data: TrialData, *, threads: int, gpu: bool) -> None:
        self.device = prepare_process(threads, gpu=gpu)
        train, validation = (on_device(split, data.info, self.device) for split in (data.train, data.validation))
        self.data = TrainingData(train=train, validation=validation, info=data.info)

    def open(self, task: Task, saved: Content | None = None) -> Session:
        """Return a training at its beginning, or at its checkpoint `saved`."""
        return Session(task, self.data, self.device, saved)

    def _begun(self, task: Task) -> tuple[Session, Training]:
        params = task.hyperparameters.as_dict()
        return self.open(task), Training(key="", epochs=[], chosen_epoch=None, diverged="", params=params)

    def train(self, task: Task) -> Generator[dict[str, Any], None, Training]:
        """Train to the end: yield each epoch's record, return the training with its weights."""
        session, training = self._begun(task)
        norms = {name: tensor.norm().item() for name, tensor in session.state.model.named_parameters()}
        for record in _epochs(session, training):
            training.chosen_epoch = None if session.best is None else session.best.epoch
            yield record
        if len(self.data.validation) and training.chosen_epoch is None and not training.diverged:
            values = {record["epoch"]: record[task.objective] for record in training.epochs}
            training.diverged = never_finite(task.objective, values)
        chosen = {} if session.best is None else session.best.weights
        weights = {"chosen": chosen, "last": weights_of(session.state.model), "initial_norms": norms}
        training.arrays = {f"{kind}/{name}": value for kind, named in weights.items() for name, value in named.items()}
        return training

    def train_as_published(
        self, task: Task, evaluated: DeviceSplit, held_out: DeviceSplit
    ) -> Generator[dict[str, Any], None, Training]:
        """Train as the published runs did: yield each epoch's record, return the training without its weights.

        A record has also `published_test_loss` and `published_test_accuracy` on `evaluated`, the published test images,
        and `held_out_loss` and `held_out_accuracy` on images that no training saw. Validation is absent if nothing was
        held out of the training.
        """
        session, training = self._begun(task)
        for record in _epochs(session, training):
            known = {name: value for name, value in record.items() if value == value}
            on_held_out = _evaluated(session, held_out)
            published = on_held_out if evaluated is held_out else _evaluated(session, evaluated)
            training.epochs[-1] = known | {
                "published_test_loss": published["loss"],
                "published_test_accuracy": published["accuracy"],
                "held_out_loss": on_held_out["loss"],
                "held_out_accuracy": on_held_out["accuracy"],
            }
            yield training.epochs[-1]
        return training


def _epochs(session: Session, training: Training) -> Iterator[dict[str, Any]]:
    """Train the session's epochs into `training`, and yield their records; note how it diverged, if it did."""
    try:
        while not session.finished:
            training.epochs.append(session.step())
            yield training.epochs[-1]
    except DivergedError as error:
        training.diverged = f"diverged in epoch {len(training.epochs) + 1}: {error}"


def _evaluated(session: Session, split: DeviceSplit) -> dict[str, Any]:
    logits = predict(session.state.model, split, session.task.seed)
    return evaluation(logits, split.labels, session.task.loss)
