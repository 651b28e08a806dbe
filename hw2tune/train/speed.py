"""The speed of training, measured with the training loop itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import torch

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.speed import Speed
from hw2tune.train.device import TrainingData
from hw2tune.train.loop import predict, train_epoch
from hw2tune.train.state import TrainingState, new_state
from hw2tune.train.task import Task

HARDLY = 1e-6  # a learning rate that lets no training diverge


def measure_speed(
    task: Task, data: TrainingData, batch_sizes: Sequence[int], device: torch.device, seconds: float
) -> Speed:
    """Train and evaluate for so long, and for one epoch of each batch size at least, after one that warms up."""
    given = replace(task.hyperparameters, learning_rate=HARDLY)
    state = new_state(task.blueprint(data.info), given, seed=task.seed, device=device)
    sizes = sorted({min(size, len(data.train)) for size in batch_sizes})
    rounds = [_timed(state, task, data, given, sizes)]
    end = time.perf_counter() + seconds
    while len(rounds) == 1 or time.perf_counter() < end:
        rounds.append(_timed(state, task, data, given, sizes))
    *training, evaluating = (fmean(column) for column in zip(*rounds[1:], strict=True))
    steps = [data.train.count(size) for size in sizes]
    return _fitted(steps, training, len(data.train), evaluating / len(data.validation))


def _timed(
    state: TrainingState, task: Task, data: TrainingData, given: Hyperparameters, sizes: Sequence[int]
) -> list[float]:
    """Return the seconds of an epoch with each batch size, and of an evaluation."""
    clock = [time.perf_counter()]
    for size in sizes:
        train_epoch(state, data.train, replace(given, batch_size=size), loss=task.loss, max_epochs=task.max_epochs)
        clock.append(time.perf_counter())
    predict(state.model, data.validation).sum().item()  # waits for the device
    return [after - before for before, after in pairwise([*clock, time.perf_counter()])]


def _fitted(steps: Sequence[int], seconds: Sequence[float], images: int, evaluation_seconds: float) -> Speed:
    """Return the speed by the epochs of the smallest and the largest batches; noise may make neither part negative."""
    each, least = 0.0, min(seconds)
    if steps[0] > steps[-1]:
        each = min(max(0.0, (seconds[0] - seconds[-1]) / (steps[0] - steps[-1])), least / steps[-1])
    return Speed(
        step_seconds=each,
        image_seconds=(seconds[-1] - each * steps[-1]) / images,
        evaluation_seconds=evaluation_seconds,
    )
