"""Updates of the weights: the optimizers, without PyTorch's compiler and profiler, and the learning rate's schedule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from hw2tune.study.hyperparameters import OPTIMIZERS, Hyperparameters, rising_share
from hw2tune.train.device import keep_compiler_out

FUSED = ("sgd", "adam", "adamw", "adagrad")  # on every device, faster


def build_optimizers(model: nn.Module, hyperparameters: Hyperparameters) -> list[Optimizer]:
    """The optimizer of a configuration over the parameters that are trained, in PyTorch's fused form where it has one.

    `weight_decay` means what the optimizer means by it: coupled L2 in all but `adamw` and `muon`. Muon (Jordan, 2024)
    is for weight matrices: AdamW trains everything else, at the same learning rate, so that there are two.
    """
    keep_compiler_out()
    hp, parameters = hyperparameters, [parameter for parameter in model.parameters() if parameter.requires_grad]
    shared: dict[str, Any] = {"lr": hp.learning_rate, "weight_decay": hp.weight_decay}
    if hp.optimizer == "muon":
        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        others = [parameter for parameter in parameters if parameter.ndim != 2]
        muon = [torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **shared, **_own(hp))] if matrices else []
        return [*muon, *([AdamW(others, **shared, fused=True)] if others else [])]
    kind = getattr(torch.optim, OPTIMIZERS[hp.optimizer].torch_name)
    return [kind(parameters, **shared, **_own(hp), **({"fused": True} if hp.optimizer in FUSED else {}))]


def _own(hp: Hyperparameters) -> dict[str, Any]:
    """Return the arguments of this optimizer alone, as PyTorch calls them."""
    takes = OPTIMIZERS[hp.optimizer].takes
    given = {name: default if getattr(hp, name) is None else getattr(hp, name) for name, default in takes.items()}
    if "beta1" in given:
        return {"betas": (given["beta1"], given["beta2"])}
    if given.get("nesterov") and not given["momentum"]:
        given["nesterov"] = False  # PyTorch refuses it without momentum, with which it would do nothing
    return given


def step_of(optimizer: Optimizer) -> Callable[[], None]:
    """The optimizer's step without its wrappers, for one without hooks."""
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    return lambda: step(optimizer)


ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 250_000  # as in torch.optim.lr_scheduler.OneCycleLR

Schedule = Callable[[int], float]  # the factor at a step, counted from 0 over the whole training


def schedule_of(hyperparameters: Hyperparameters, steps: int) -> Schedule | None:
    """The factor of the learning rate at each of `steps` steps; None where it is always 1.

    `constant` and `cosine` (Loshchilov and Hutter, 2017; down to 0) rise linearly over their `warmup` share of the
    steps; `one_cycle` (Smith and Topin, 2018) rises over it, 30 % where none is given, from 1/25 along a cosine and
    falls along another to next to nothing. Momentum stays as it is.
    """
    warmup = rising_share(hyperparameters.schedule, hyperparameters.warmup) * steps
    match hyperparameters.schedule:
        case "constant":
            return (lambda step: min(1.0, (step + 1) / warmup)) if warmup else None
        case "cosine":
            return lambda step: (step + 1) / warmup if step + 1 < warmup else _cosine(step, warmup, steps, 1.0, 0.0)
        case "one_cycle":
            return lambda step: (
                _cosine(step, 0, warmup, ONE_CYCLE_START, 1.0)
                if step < warmup
                else _cosine(step, warmup, steps, 1.0, ONE_CYCLE_END)
            )
    raise AssertionError(f"no schedule {hyperparameters.schedule!r}: study files are checked")


def _cosine(step: float, first: float, last: float, start: float, end: float) -> float:
    """From `start` at `first` to `end` at `last` along half a cosine."""
    share = min(1.0, max(0.0, (step - first) / max(1.0, last - first)))
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
