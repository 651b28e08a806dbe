"""The training loop: one generator, one record an epoch; the caller reports, saves or stops."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.batches import DeviceSplit, TrainingData
from hw2tune.train.loss import Loss
from hw2tune.train.optimizers import step_of
from hw2tune.train.state import Epoch, TrainingState

EVALUATION_BATCH = 500  # images; larger ones leave the CPU's caches and were no faster


class DivergedError(Exception):
    """The loss is no longer a finite number."""


def train_epochs(
    state: TrainingState, hyperparameters: Hyperparameters, data: TrainingData, *, loss: Loss, max_epochs: int
) -> Iterator[Epoch]:
    """Trains `state` up to `max_epochs` in all, yielding each epoch's record when it is in the state's history.

    Raises DivergedError at the end of an epoch whose loss is not finite.
    """
    while state.epoch < max_epochs:
        started = time.perf_counter()
        train_loss, train_accuracy = train_epoch(state, data.train, loss, hyperparameters.batch_size)
        trained = time.perf_counter()
        validation_loss, validation_accuracy = evaluate(state.model, data.validation, loss)
        if not math.isfinite(train_loss) or (len(data.validation) and not math.isfinite(validation_loss)):
            raise DivergedError(f"loss {train_loss:g} (training), {validation_loss:g} (validation)")
        state.history.append(
            Epoch(
                epoch=state.epoch + 1,
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                train_seconds=trained - started,
                epoch_seconds=time.perf_counter() - started,
                images_per_second=len(data.train) / (trained - started),
            )
        )
        yield state.history[-1]


def train_epoch(state: TrainingState, train: DeviceSplit, loss: Loss, batch_size: int) -> tuple[float, float]:
    """One pass over the images in a new order. Returns mean loss and accuracy over the batches, in training mode."""
    state.model.train()
    step = step_of(state.optimizer)
    order = torch.randperm(len(train), generator=state.shuffle_generator).to(state.device)
    # Summed on the device and read once at the end: nothing waits for the device inside the epoch.
    loss_sum = torch.zeros((), device=state.device, dtype=torch.float64)
    correct = torch.zeros((), device=state.device, dtype=torch.int64)
    for images, labels in train.batches(batch_size, order):
        logits = state.model(images)
        batch_loss = loss(logits, labels)
        state.optimizer.zero_grad(set_to_none=True)
        batch_loss.backward()  # type: ignore[no-untyped-call]
        step()
        loss_sum += batch_loss.detach() * len(labels)
        correct += (logits.argmax(1) == labels).sum()
    return loss_sum.item() / len(train), correct.item() / len(train)


def evaluate(model: nn.Module, split: DeviceSplit, loss: Loss) -> tuple[float, float]:
    """Mean loss and accuracy on a split in evaluation mode; (nan, nan) on an empty one."""
    if len(split) == 0:
        return math.nan, math.nan
    logits = predict(model, split)
    accuracy = (logits.argmax(1) == split.labels).double().mean()
    return loss(logits, split.labels).item(), accuracy.item()


@torch.inference_mode()
def predict(model: nn.Module, split: DeviceSplit) -> Tensor:
    """Logits (N, 10) of a split's images in evaluation mode."""
    model.eval()
    return torch.cat([model(images) for images, _ in split.batches(EVALUATION_BATCH)])
