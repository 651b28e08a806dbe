"""The optimizers, without what PyTorch 2.15 does for its compiler and profiler before every first step.

Its optimizers import `torch._dynamo` when one is made and again when it steps: 2 s a process and more, longer than
most trials' first epoch. Nothing is compiled here, so that import is kept out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from hw2tune.study.hyperparameters import Hyperparameters

for _method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
    # torch/_compile.py 2.15: what this attribute names is called in place of `torch._dynamo.disable(method)`.
    setattr(inspect.unwrap(_method), "__dynamo_disable", inspect.unwrap(_method))


def build_optimizer(model: nn.Module, hyperparameters: Hyperparameters) -> Optimizer:
    """The optimizer of a configuration, in PyTorch's fused form. `weight_decay` means what the optimizer means by it.

    Coupled L2 in `sgd` and `adam`, decoupled in `adamw`.
    """
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
