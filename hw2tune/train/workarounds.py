"""Workarounds for PyTorch 2.15, each with its reason; `tests/train/test_workarounds.py` says when one is not needed."""

from __future__ import annotations

import inspect
from functools import cache

from torch.optim import Optimizer


@cache
def keep_compiler_out() -> None:
    """From here on optimizers do without PyTorch's compiler.

    They import `torch._dynamo` when one is made and again when it steps: 2 s a process and more, longer than most
    trials' first epoch. Nothing is compiled here.
    """
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        # torch/_compile.py: what this attribute names is called in place of `torch._dynamo.disable(method)`.
        setattr(inspect.unwrap(method), "__dynamo_disable", inspect.unwrap(method))
