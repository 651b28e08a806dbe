"""`Trainer`, once a process, and `Session`, one training: what runs trials and what trains replicates use the same."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from hw2tune.data.dataset import Split
from hw2tune.study.objectives import best_epoch, never_finite, objective_of
from hw2tune.train.batches import DeviceSplit, TrainingData, on_device
from hw2tune.train.device import prepare_process
from hw2tune.train.evaluate import evaluation, weights_of
from hw2tune.train.loop import DivergedError, predict, train_epochs
from hw2tune.train.metrics import metric_of
from hw2tune.train.state import Epoch, checkpoint, new_state, restore
from hw2tune.train.task import Task, TrainingResult, TrialData


class Session:
    """One training: its network, optimizer, generators and the epochs so far."""

    def __init__(self, task: Task, data: TrainingData, device: torch.device, saved: bytes | None = None) -> None:
        self.task = task
        self.state = new_state(task.blueprint(data.info), task.hyperparameters, seed=task.seed, device=device)
        if saved is not None:
            restore(self.state, saved)
        self._epochs = train_epochs(
            self.state,
            task.hyperparameters,
            data,
            loss=task.loss,
            max_epochs=task.max_epochs,
            metric=metric_of(task.objective, task.code),
        )

    @property
    def history(self) -> list[Epoch]:
        """The epochs that are trained."""
        return self.state.history

    @property
    def values(self) -> dict[int, float]:
        """The objective by epoch; empty without validation images."""
        objective = self.task.objective
        records = [one.record() for one in self.history]
        return {record["epoch"]: record[objective] for record in records if objective in record}

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best finite value of the objective."""
        return best_epoch(self.values, objective_of(self.task.objective).direction)

    @property
    def parameters(self) -> int:
        """The numbers of the network that are trained."""
        return sum(one.numel() for one in self.state.model.parameters() if one.requires_grad)

    @property
    def finished(self) -> bool:
        """Whether it has all its epochs."""
        return self.state.epoch >= self.task.max_epochs

    def step(self) -> Epoch:
        """Trains the next epoch. Raises DivergedError where the loss is no longer a finite number."""
        return next(self._epochs)

    def checkpoint(self) -> bytes:
        """All that `Trainer.open` needs to go on exactly (on the CPU, bit for bit)."""
        return checkpoint(self.state)


class Trainer:
    """What a process needs once: its device, its threads, and the images on the device. Test images are not among it.

    Raises DeviceError where a GPU was given and cannot be used.
    """

    def __init__(self, data: TrialData, *, threads: int, gpu: bool) -> None:
        self.device = prepare_process(threads, gpu=gpu)
        self.data = TrainingData(
            train=self.on_device(data.train, data), validation=self.on_device(data.validation, data), info=data.info
        )

    def on_device(self, split: Split, data: TrialData) -> DeviceSplit:
        """A split of the data set on this process's device."""
        return on_device(split, data.info, self.device)

    def open(self, task: Task, saved: bytes | None = None) -> Session:
        """A training at its beginning, or where `saved` was taken."""
        return Session(task, self.data, self.device, saved)

    def train(self, task: Task) -> Generator[dict[str, Any], None, TrainingResult]:
        """Trains to the end: yields each epoch's record, returns what was trained with its weights."""
        session = self.open(task)
        norms = {name: tensor.norm().item() for name, tensor in session.state.model.named_parameters()}
        chosen: dict[str, Any] = {}
        diverged = ""
        try:
            while not session.finished:
                epoch = session.step()
                if session.best_epoch == epoch.epoch:
                    chosen = weights_of(session.state.model)
                yield epoch.record()
        except DivergedError as error:
            diverged = f"diverged in epoch {session.state.epoch + 1}: {error}"
        else:
            if len(self.data.validation) and session.best_epoch is None:
                diverged = never_finite(task.objective, session.values)
        weights = {"chosen": chosen, "last": weights_of(session.state.model), "initial_norms": norms}
        return TrainingResult(
            task=task,
            epochs=[epoch.record() for epoch in session.history],
            chosen_epoch=session.best_epoch,
            diverged=diverged,
            arrays={f"{kind}/{name}": value for kind, values in weights.items() for name, value in values.items()},
        )

    def train_as_published(
        self, task: Task, evaluated: DeviceSplit, held_out: DeviceSplit
    ) -> Generator[dict[str, Any], None, TrainingResult]:
        """Trains as the published runs did: yields each epoch's record, returns the training without its weights.

        A record has besides `published_test_loss`, `published_test_accuracy` on `evaluated`, what was called test
        there, and `held_out_loss`, `held_out_accuracy` on the images that no training saw.
        """
        session = self.open(task)
        records: list[dict[str, Any]] = []
        diverged = ""
        try:
            while not session.finished:
                records.append(_known(session.step().record()) | _both(session, evaluated, held_out))
                yield records[-1]
        except DivergedError as error:
            diverged = f"diverged in epoch {len(records) + 1}: {error}"
        return TrainingResult(task=task, epochs=records, chosen_epoch=None, diverged=diverged, arrays={})


def _both(session: Session, evaluated: DeviceSplit, held_out: DeviceSplit) -> dict[str, float]:
    """Loss and accuracy on both splits; the same one is evaluated once."""
    model, loss = session.state.model, session.task.loss
    on_held_out = evaluation(predict(model, held_out), held_out.labels, loss)
    published = on_held_out if evaluated is held_out else evaluation(predict(model, evaluated), evaluated.labels, loss)
    return {
        "published_test_loss": published["loss"],
        "published_test_accuracy": published["accuracy"],
        "held_out_loss": on_held_out["loss"],
        "held_out_accuracy": on_held_out["accuracy"],
    }


def _known(record: dict[str, Any]) -> dict[str, Any]:
    """Without what is not a number: validation where nothing was held out."""
    return {name: value for name, value in record.items() if value == value}
