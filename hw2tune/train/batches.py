"""Images on the device: uint8 once a process, cut into batches and normalised there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split


@dataclass(frozen=True, kw_only=True)
class DeviceSplit:
    """One split on the device: images (N, H, W, C) uint8 and labels (N,) int64."""

    images: Tensor
    labels: Tensor
    mean: Tensor  # (C,) on the scale [0, 1]
    std: Tensor  # (C,)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (B, C, H, W) float32 in channels_last and labels (B,), in `order` or as they lie."""
        for start in range(0, len(self), batch_size):
            chosen = slice(start, start + batch_size) if order is None else order[start : start + batch_size]
            yield self.normalised(self.images[chosen]), self.labels[chosen]

    def normalised(self, images: Tensor) -> Tensor:
        """(B, H, W, C) uint8 as (B, C, H, W) float32; the permutation of NHWC *is* channels_last, no copy is made."""
        return images.float().div_(255).sub_(self.mean).div_(self.std).permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What one training sees: never the test images."""

    train: DeviceSplit
    validation: DeviceSplit


def on_device(split: Split, info: DatasetInfo, device: torch.device) -> DeviceSplit:
    """Moves a split to the device; on the CPU the arrays are shared, not copied."""
    return DeviceSplit(
        images=_tensor(split.images).to(device),
        labels=_tensor(split.labels).to(device),
        mean=torch.tensor(info.mean, device=device),
        std=torch.tensor(info.std, device=device),
    )


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        # Arrays from Ray's object store are read-only; batches are copies, so nothing ever writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
