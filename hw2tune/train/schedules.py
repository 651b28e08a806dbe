"""The learning rate over the steps of a training, as a factor of the configuration's own."""

from __future__ import annotations

import math
from collections.abc import Callable

from hw2tune.study.hyperparameters import Hyperparameters

ONE_CYCLE_WARMUP, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1 / 250_000  # as in torch.optim.lr_scheduler.OneCycleLR

Schedule = Callable[[int], float]  # the factor at a step, counted from 0 over the whole training


def schedule_of(hyperparameters: Hyperparameters, steps: int) -> Schedule | None:
    """The factor of the learning rate at each of `steps` steps; None where it is always 1.

    `constant` and `cosine` (Loshchilov and Hutter, 2017; down to 0) rise linearly over their `warmup` share of the
    steps; `one_cycle` (Smith and Topin, 2018) rises over it, 30 % where none is given, from 1/25 along a cosine and
    falls along another to next to nothing. Momentum stays as it is.
    """
    warmup = hyperparameters.warmup * steps
    match hyperparameters.schedule:
        case "constant":
            return (lambda step: min(1.0, (step + 1) / warmup)) if warmup else None
        case "cosine":
            return lambda step: (step + 1) / warmup if step + 1 < warmup else _cosine(step, warmup, steps, 1.0, 0.0)
        case "one_cycle":
            peak = (hyperparameters.warmup or ONE_CYCLE_WARMUP) * steps
            return lambda step: (
                _cosine(step, 0, peak, ONE_CYCLE_START, 1.0)
                if step < peak
                else _cosine(step, peak, steps, 1.0, ONE_CYCLE_END)
            )
    raise AssertionError(f"no schedule {hyperparameters.schedule!r}: study files are checked")


def _cosine(step: float, first: float, last: float, start: float, end: float) -> float:
    """From `start` at `first` to `end` at `last` along half a cosine."""
    share = min(1.0, max(0.0, (step - first) / max(1.0, last - first)))
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
