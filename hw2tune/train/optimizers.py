"""The optimizers, without what PyTorch does for its compiler and profiler before every first step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.optimizers import OPTIMIZERS
from hw2tune.train.workarounds import keep_compiler_out

_PLAIN: dict[str, type[Optimizer]] = {"rmsprop": RMSprop, "radam": RAdam, "nadam": NAdam}
_FUSED: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "adagrad": Adagrad}


def build_optimizers(model: nn.Module, hyperparameters: Hyperparameters) -> list[Optimizer]:
    """The optimizer of a configuration over the parameters that are trained, in PyTorch's fused form where it has one.

    `weight_decay` means what the optimizer means by it: coupled L2 in all but `adamw` and `muon`. Muon (Jordan, 2024)
    is for weight matrices: AdamW trains everything else, at the same learning rate, so that there are two.
    """
    keep_compiler_out()
    hp, parameters = hyperparameters, [parameter for parameter in model.parameters() if parameter.requires_grad]
    shared: dict[str, Any] = {"lr": hp.learning_rate, "weight_decay": hp.weight_decay}
    if hp.optimizer in _FUSED:
        return [_FUSED[hp.optimizer](parameters, **shared, **_own(hp), fused=True)]  # type: ignore[call-arg]
    if hp.optimizer in _PLAIN:
        return [_PLAIN[hp.optimizer](parameters, **shared, **_own(hp))]
    if hp.optimizer == "muon":
        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        others = [parameter for parameter in parameters if parameter.ndim != 2]
        muon = [torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **shared, **_own(hp))] if matrices else []
        return [*muon, *([AdamW(others, **shared, fused=True)] if others else [])]
    raise AssertionError(f"no optimizer {hp.optimizer!r}: study files are checked")


def _own(hp: Hyperparameters) -> dict[str, Any]:
    """What this optimizer alone takes, as PyTorch calls it."""
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
