"""A network of any size: two hidden layers of a width."""

from __future__ import annotations

from torch import Tensor, nn


class Net(nn.Module):
    """784 -> width -> width -> 10, with 0.03 million parameters at a width of 37 and 45 million at 6330."""

    def __init__(self, width: int = 37) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 1, 28, 28)."""
        logits: Tensor = self.layers(x)
        return logits
