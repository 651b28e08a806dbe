"""Dropout that draws from a generator of its training's, so that several trainings can live in one process."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Drops values with probability `p` in training and scales the others by 1 / (1 - p), as `nn.Dropout` does.

    With `whole_channels` it drops channels of (N, C, H, W), as `nn.Dropout2d`. Without a generator it draws from
    PyTorch's own.
    """

    def __init__(self, p: float, *, whole_channels: bool = False) -> None:
        super().__init__()
        self.p, self.whole_channels = p, whole_channels
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], *(1,) * (x.ndim - 2)) if self.whole_channels else x.shape
        kept = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)


def draw_from(model: nn.Module, generator: torch.Generator) -> None:
    """Has every dropout of a network draw from this generator, which must be on the network's device."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator
