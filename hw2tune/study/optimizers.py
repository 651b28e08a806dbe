"""Facts about each optimizer, without PyTorch: its arguments besides learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """An optimizer of `torch.optim` under its name in study files: the class's name in small letters.

    `takes` holds the hyperparameters that it has besides those of all optimizers, with the values that it trains with
    where a configuration does not name them. `decoupled` says that weight decay is taken off the weights themselves
    (Loshchilov and Hutter, 2019) and is no part of the gradient.
    """

    torch_name: str
    takes: Mapping[str, bool | float] = field(default_factory=dict)
    decoupled: bool = False

    @property
    def name(self) -> str:
        """Name in study files."""
        return self.torch_name.lower()


_BETAS = {"beta1": 0.9, "beta2": 0.999}

OPTIMIZERS = {
    spec.name: spec
    for spec in (
        OptimizerSpec(torch_name="SGD", takes={"momentum": 0.0, "nesterov": False}),
        OptimizerSpec(torch_name="Adam", takes=_BETAS),
        OptimizerSpec(torch_name="AdamW", takes=_BETAS, decoupled=True),
        OptimizerSpec(torch_name="RMSprop", takes={"momentum": 0.0}),
        OptimizerSpec(torch_name="RAdam", takes=_BETAS),
        OptimizerSpec(torch_name="NAdam", takes=_BETAS),
        OptimizerSpec(torch_name="Adagrad"),
        # For weight matrices; everything else of the network is trained by AdamW (see `train.optimizers`).
        OptimizerSpec(torch_name="Muon", takes={"momentum": 0.95, "nesterov": True}, decoupled=True),
    )
}


def optimizers_with(hyperparameter: str) -> tuple[str, ...]:
    """Return the names of the optimizers that take this hyperparameter."""
    return tuple(name for name, spec in OPTIMIZERS.items() if hyperparameter in spec.takes)
