"""The optimizers, without what PyTorch does for its compiler and profiler before every first step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.workarounds import keep_compiler_out


def build_optimizer(model: nn.Module, hyperparameters: Hyperparameters) -> Optimizer:
    """The optimizer of a configuration, in PyTorch's fused form. `weight_decay` means what the optimizer means by it.

    Coupled L2 in `sgd` and `adam`, decoupled in `adamw`.
    """
    keep_compiler_out()
    hp = hyperparameters
    shared: dict[str, Any] = {"lr": hp.learning_rate, "weight_decay": hp.weight_decay, "fused": True}
    match hp.optimizer:
        case "sgd":
            return SGD(model.parameters(), momentum=hp.momentum or 0.0, **shared)
        case "adam":
            return Adam(model.parameters(), **shared)
        case "adamw":
            return AdamW(model.parameters(), **shared)
    raise AssertionError(f"no optimizer {hp.optimizer!r}: study files are checked")


def step_of(optimizer: Optimizer) -> Callable[[], None]:
    """The optimizer's step without its wrappers, for one without hooks."""
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    return lambda: step(optimizer)
