"""The device of a process that trains, and the images on it: cut into batches, normalised and augmented there."""

from __future__ import annotations

import ctypes
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.errors import DeviceError

# malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MMAP_THRESHOLD_MAX = 32 * 1024**2  # what glibc accepts on 64 bits
CROP_SHARE = 8  # an image is shifted by up to an eighth of its size, 4 pixels of 32 (He et al., 2016)
CUTOUT_SHARE = 2  # the square that is covered has half the image's size (DeVries and Taylor, 2017)


def prepare_process(threads: int, *, gpu: bool) -> torch.device:
    """Set this process up for training and return its device: with `gpu` one that it sees, else the CPU.

    Ray hides no GPU from a process that asked for none, so what was asked for decides. Raises DeviceError where a GPU
    was asked for and cannot be used: a training is kept under a key that names its device.

    Numbers smaller than 1e-38 are flushed to zero: strong weight decay drives weights there, and the CPU's
    arithmetic on them is many times slower. TF32 is turned off (cuDNN's default is on) and bf16 is not used, so that
    results are comparable across devices. glibc keeps freed memory: else it returns each step's large tensors and gets
    them anew, page by page, whose faults are a fifth of a CIFAR-10 step with batches of 128.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(MMAP_THRESHOLD, MMAP_THRESHOLD_MAX)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if gpu and not torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        raise DeviceError(
            f"this process was given a GPU, and its PyTorch {torch.__version__}, built for {build}, cannot use one; "
            "`nvidia-smi` shows the driver; --gpus-per-trial 0 trains on CPUs"
        )
    return torch.device("cuda" if gpu else "cpu")


@cache
def keep_compiler_out() -> None:
    """From here on optimizers do without the compiler of PyTorch 2.15 (`tests/train/test_workarounds.py`).

    They import `torch._dynamo` when one is made and again when it steps: 2 s a process and more, longer than most
    trials' first epoch. Nothing is compiled here.
    """
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        # torch/_compile.py: what this attribute names is called in place of `torch._dynamo.disable(method)`.
        setattr(inspect.unwrap(method), "__dynamo_disable", inspect.unwrap(method))


@dataclass(frozen=True, kw_only=True)
class DeviceSplit:
    """One split on the device: images (N, H, W, C), uint8 or float32, and labels (N,) int64."""

    images: Tensor
    labels: Tensor
    scale: Tensor  # (H, W, C): a normalised pixel is scale * pixel + shift; spread out, else it is slow on the CPU
    shift: Tensor  # (H, W, C)

    def __len__(self) -> int:
        return len(self.labels)

    def count(self, batch_size: int) -> int:
        """The number of batches. A last one of a single image joins the one before: batch norm cannot train on one."""
        whole, rest = divmod(len(self), batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    def batches(
        self, batch_size: int, order: Tensor | None = None, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (B, C, H, W) float32 in channels_last and labels (B,), in `order` or as they lie."""
        count = self.count(batch_size)
        for number in range(count):
            batch = slice(number * batch_size, len(self) if number == count - 1 else (number + 1) * batch_size)
            if order is None:
                yield self.normalised(self.images[batch]), self.labels[batch]
                continue
            # index_select copies whole images; indexing does the same pixel by pixel, ten times slower
            images, labels = (every.index_select(0, order[batch]) for every in (self.images, self.labels))
            if augmentation is None:
                yield self.normalised(images), labels
            else:
                yield augmentation.covered(self.normalised(augmentation.pixels(images))), labels

    def normalised(self, images: Tensor) -> Tensor:
        """(B, H, W, C) as (B, C, H, W) float32; the permutation of NHWC *is* channels_last, no copy is made."""
        return (
            (images * self.scale if images.is_floating_point() else images.float().mul_(self.scale))
            .add_(self.shift)
            .permute(0, 3, 1, 2)
        )


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Data that one training sees: never the test images."""

    train: DeviceSplit
    validation: DeviceSplit
    info: DatasetInfo


def on_device(split: Split, info: DatasetInfo, device: torch.device) -> DeviceSplit:
    """Move a split to the device; on the CPU the arrays are shared, not copied."""
    mean, std = np.array(info.mean), np.array(info.std)  # (C,) on the scale [0, 1]
    white = 255 if split.images.dtype == np.uint8 else 1
    scale, shift = (np.broadcast_to(value, split.images.shape[1:]) for value in (1 / (white * std), -mean / std))
    with warnings.catch_warnings():
        # Arrays from Ray's object store are read-only; batches are copies, so nothing ever writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        images, labels = (torch.from_numpy(array).to(device) for array in (split.images, split.labels))
    return DeviceSplit(
        images=images,
        labels=labels,
        scale=torch.tensor(scale, dtype=torch.float32, device=device),
        shift=torch.tensor(shift, dtype=torch.float32, device=device),
    )


@dataclass(frozen=True)
class Augmentation:
    """`flip` mirrors half of the images, `crop` shifts each (what moves in is mirrored at the edge), `cutout` sets a
    square of each to the normalised 0. All is drawn from `generator`, on the batch's device.
    """

    parts: str  # `flip+crop` and the like, or `none`
    generator: torch.Generator

    def pixels(self, images: Tensor) -> Tensor:
        """Flipped and shifted copies of raw images (B, H, W, C); what neither touches comes back as it is."""
        if "flip" not in self.parts and "crop" not in self.parts:
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
