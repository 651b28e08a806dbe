"""The training loop: one generator, one record an epoch; the caller reports, saves or stops."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.device import Augmentation, DeviceSplit, TrainingData
from hw2tune.train.draws import seeded
from hw2tune.train.metrics import LOSSES, Loss, Metric
from hw2tune.train.optimizers import schedule_of, step_of
from hw2tune.train.state import EVALUATION_STREAM, TrainingState, own_draws

EVALUATION_BATCH = 500  # images; larger ones leave the CPU's caches and were no faster
EVALUATION_BYTES = 32_000_000  # of a batch's images as float32: 500 of 64 x 64 in three colours, 53 of 224 x 224


class DivergedError(Exception):
    """The loss is no longer a finite number."""


def train_epochs(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    data: TrainingData,
    *,
    loss: str,
    max_epochs: int,
    metric: Metric | None = None,
) -> Iterator[dict[str, Any]]:
    """Train `state` up to `max_epochs` in total; yield each epoch's record, as events and files have it.

    A record has `epoch` (from 1), losses in nats per image and accuracies as fractions of training and validation,
    `train_seconds`, `epoch_seconds` (validation included), `images_per_second` (training images over `train_seconds`),
    and the values of `metric` on the validation images by name. The training figures are means over the epoch's
    batches, in training mode, as the published runs report them. Raises DivergedError at the end of an epoch whose
    loss is not finite.
    """
    while state.epoch < max_epochs:
        started = time.perf_counter()
        train_loss, train_accuracy = train_epoch(state, data.train, hyperparameters, loss=loss, max_epochs=max_epochs)
        trained = time.perf_counter()
        logits = predict(state.model, data.validation, state.seed) if len(data.validation) else None
        validation_loss, validation_accuracy = evaluated(logits, data.validation, LOSSES[loss])
        if not math.isfinite(train_loss) or (len(data.validation) and not math.isfinite(validation_loss)):
            raise DivergedError(f"loss {train_loss:g} (training), {validation_loss:g} (validation)")
        record = {
            "epoch": state.epoch + 1,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "train_seconds": trained - started,
            "epoch_seconds": time.perf_counter() - started,
            "images_per_second": len(data.train) / (trained - started),
        } | ({} if metric is None or logits is None else metric(logits, data.validation.labels))
        state.epoch += 1
        yield record


def train_epoch(
    state: TrainingState, train: DeviceSplit, hyperparameters: Hyperparameters, *, loss: str, max_epochs: int
) -> tuple[float, float]:
    """One pass over the images in a new order. Returns mean loss and accuracy over the batches, in training mode."""
    state.model.train()
    minimised = partial(LOSSES[loss], label_smoothing=hyperparameters.label_smoothing)
    augmentation = Augmentation(hyperparameters.augment, state.augment_generator)
    update = update_of(
        state, hyperparameters, steps_an_epoch=train.count(hyperparameters.batch_size), epochs=max_epochs
    )
    order = torch.randperm(len(train), generator=state.shuffle_generator).to(state.device)
    # Summed on the device and read once at the end: nothing waits for the device inside the epoch.
    loss_sum = torch.zeros((), device=state.device, dtype=torch.float64)
    correct = torch.zeros((), device=state.device, dtype=torch.int64)
    with own_draws(state):
        for images, labels in train.batches(hyperparameters.batch_size, order, augmentation):
            logits = state.model(images)
            batch_loss = minimised(logits, labels)
            state.model.zero_grad(set_to_none=True)
            batch_loss.backward()  # type: ignore[no-untyped-call]
            next(update)
            loss_sum += batch_loss.detach() * len(labels)
            correct += (logits.argmax(1) == labels).sum()
    return loss_sum.item() / len(train), correct.item() / len(train)


def update_of(
    state: TrainingState, hyperparameters: Hyperparameters, *, steps_an_epoch: int, epochs: int
) -> Iterator[None]:
    """Each `next` is one update of the weights by their gradients: clipped, and at the schedule's learning rate."""
    steps = [step_of(optimizer) for optimizer in state.optimizers]
    groups = [group for optimizer in state.optimizers for group in optimizer.param_groups]
    schedule = schedule_of(hyperparameters, steps_an_epoch * epochs)
    done, clip = state.epoch * steps_an_epoch, hyperparameters.gradient_clip
    while True:
        if schedule is not None:
            for group in groups:
                group["lr"] = hyperparameters.learning_rate * schedule(done)
        if clip:
            nn.utils.clip_grad_norm_(state.model.parameters(), clip)
        for step in steps:
            step()
        done += 1
        yield


def evaluated(logits: Tensor | None, split: DeviceSplit, loss: Loss) -> tuple[float, float]:
    """Mean loss and accuracy of logits (N, K) on a split; (nan, nan) where there are none."""
    if logits is None:
        return math.nan, math.nan
    accuracy = (logits.argmax(1) == split.labels).double().mean()
    return loss(logits, split.labels).item(), accuracy.item()


@torch.inference_mode()
def predict(model: nn.Module, split: DeviceSplit, seed: int = 0) -> Tensor:
    """Logits (N, K) of a split's images in evaluation mode; a network that draws even there does so from the seed."""
    model.eval()
    gpus = [split.images.device] if split.images.is_cuda else []
    with seeded(seed + EVALUATION_STREAM, gpus):
        return torch.cat([model(images) for images, _ in split.batches(evaluation_batch(split))])


def evaluation_batch(split: DeviceSplit) -> int:
    """The number of images evaluated in one pass: fewer of large images, which need the memory of training."""
    return max(2, min(EVALUATION_BATCH, EVALUATION_BYTES // (4 * split.images[0].numel())))
