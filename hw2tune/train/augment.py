"""Augmentation of a batch on its device: each image flipped, shifted or partly covered at random."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CROP_SHARE = 8  # an image is shifted by up to an eighth of its size, 4 pixels of 32 (He et al., 2016)
CUTOUT_SHARE = 2  # the square that is covered has half the image's size (DeVries and Taylor, 2017)


@dataclass(frozen=True)
class Augmentation:
    """`flip` mirrors half of the images, `crop` shifts each (what moves in is mirrored at the edge), `cutout` sets a
    square of each to the normalised 0. All is drawn from `generator`, on the batch's device.
    """

    parts: frozenset[str]
    generator: torch.Generator

    def pixels(self, images: Tensor) -> Tensor:
        """Flipped and shifted copies of raw images (B, H, W, C); what neither touches comes back as it is."""
        if not self.parts & {"flip", "crop"}:
            return images
        count, height, width, channels = images.shape
        rows, columns = self._shifted(count, height), self._shifted(count, width)
        if "flip" in self.parts:
            mirrored = self._drawn(count, 2).bool()[:, None]
            columns = torch.where(mirrored, columns.flip(1), columns)
        first = torch.arange(count, device=images.device)[:, None, None] * (height * width)
        places = first + rows[:, :, None] * width + columns[:, None, :]  # (B, H, W), into all pixels of the batch
        return images.reshape(-1, channels).index_select(0, places.view(-1)).view(images.shape)

    def covered(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) with a square of each at 0; without cutout as they are."""
        if "cutout" not in self.parts:
            return images
        count, _, height, width = images.shape
        outside = ~(self._square(count, height)[:, :, None] & self._square(count, width)[:, None, :])
        return images * outside[:, None]  # (B, 1, H, W) keeps the order of the memory

    def _shifted(self, count: int, size: int) -> Tensor:
        """For each image the places (B, size) that its rows or columns come from."""
        places = torch.arange(size, device=self.generator.device).expand(count, size)
        if "crop" not in self.parts or size < CROP_SHARE:
            return places
        reach = size // CROP_SHARE
        moved = places + self._drawn(count, 2 * reach + 1)[:, None] - reach
        return (size - 1) - ((size - 1) - moved.abs()).abs()  # mirrored at both edges

    def _square(self, count: int, size: int) -> Tensor:
        """For each image which of its rows or columns (B, size) the square covers; its centre may lie at the edge."""
        places = torch.arange(size, device=self.generator.device)
        first = self._drawn(count, size)[:, None] - size // CUTOUT_SHARE // 2
        return (places >= first) & (places < first + size // CUTOUT_SHARE)

    def _drawn(self, count: int, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator, device=self.generator.device)


def augmentation_of(name: str, generator: torch.Generator) -> Augmentation | None:
    """`flip+crop` and the like; None for `none`."""
    return None if name == "none" else Augmentation(frozenset(name.split("+")), generator)
