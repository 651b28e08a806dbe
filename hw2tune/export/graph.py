"""A network between its preprocessing and its softmax: pixels in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.data.dataset import Split
from hw2tune.export.trained import TrainedModel
from hw2tune.train.batches import on_device
from hw2tune.train.loop import predict


class Classifier(nn.Module):
    """Pixels (N, C, H, W) to probabilities (N, K); mean and std are those of pixels divided by `unit`."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float], unit: int) -> None:
        super().__init__()
        self.network = network
        scale = torch.tensor([1 / (unit * s) for s in std], dtype=torch.float32)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32)
        self.register_buffer("scale", scale.view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(-1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Probabilities (N, K)."""
        return torch.softmax(self.network(pixels.float() * self.scale + self.shift), 1)


def classifier(model: TrainedModel) -> Classifier:
    """Return the network with its preprocessing, in evaluation mode and in PyTorch's usual order of memory."""
    whole = Classifier(model.network(), model.images.mean, model.images.std, model.unit).eval()
    for parameter in whole.parameters():
        parameter.requires_grad_(False)
    return whole.to(memory_format=torch.contiguous_format)


def evaluated(model: TrainedModel, images: NDArray[Any]) -> Tensor:
    """Return probabilities (N, K) of images (N, H, W, C), uint8 or float32, as replicates are evaluated.

    A single image goes in twice: a network with a `squeeze()` trains well, and would drop the batch axis of one image.
    """
    several = np.ascontiguousarray(images if len(images) > 1 else np.repeat(images, 2, axis=0))
    split = Split(images=several, labels=np.zeros(len(several), np.int64))
    return predict(model.network(), on_device(split, model.info, torch.device("cpu")))[: len(images)].softmax(1)
