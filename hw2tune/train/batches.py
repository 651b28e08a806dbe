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
    scale: Tensor  # (H, W, C): a normalised pixel is scale * pixel + shift; spread out, else it is slow on the CPU
    shift: Tensor  # (H, W, C)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (B, C, H, W) float32 in channels_last and labels (B,), in `order` or as they lie."""
        for start in range(0, len(self), batch_size):
            batch = slice(start, start + batch_size)
            if order is None:
                yield self.normalised(self.images[batch]), self.labels[batch]
            else:  # index_select copies whole images; indexing does the same pixel by pixel, ten times slower
                images, labels = (every.index_select(0, order[batch]) for every in (self.images, self.labels))
                yield self.normalised(images), labels

    def normalised(self, images: Tensor) -> Tensor:
        """(B, H, W, C) uint8 as (B, C, H, W) float32; the permutation of NHWC *is* channels_last, no copy is made."""
        return images.float().mul_(self.scale).add_(self.shift).permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What one training sees: never the test images."""

    train: DeviceSplit
    validation: DeviceSplit


def on_device(split: Split, info: DatasetInfo, device: torch.device) -> DeviceSplit:
    """Moves a split to the device; on the CPU the arrays are shared, not copied."""
    mean, std = np.array(info.mean), np.array(info.std)  # (C,) on the scale [0, 1]
    scale, shift = (np.broadcast_to(value, split.images.shape[1:]) for value in (1 / (255 * std), -mean / std))
    return DeviceSplit(
        images=_tensor(split.images).to(device),
        labels=_tensor(split.labels).to(device),
        scale=torch.tensor(scale, dtype=torch.float32, device=device),
        shift=torch.tensor(shift, dtype=torch.float32, device=device),
    )


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        # Arrays from Ray's object store are read-only; batches are copies, so nothing ever writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
