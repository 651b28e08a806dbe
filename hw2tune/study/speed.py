"""The speed of training a network on one kind of device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of a training step, of each image in it, and of each image in evaluation."""

    step_seconds: float
    image_seconds: float
    evaluation_seconds: float

    def epoch_seconds(self, train: int, validation: int, batch_sizes: Sequence[int]) -> float:
        """Return the seconds of an epoch on as many images, a mean over the batch sizes."""
        steps = fmean(math.ceil(train / size) for size in batch_sizes)
        return steps * self.step_seconds + train * self.image_seconds + validation * self.evaluation_seconds

    def images_per_second(self, batch_size: int) -> float:
        """Return the images trained per second in batches of this size."""
        return batch_size / (self.step_seconds + batch_size * self.image_seconds)

    @staticmethod
    def mean(speeds: Sequence[Speed]) -> Speed:
        """Return the mean of each."""
        return Speed(
            step_seconds=fmean(one.step_seconds for one in speeds),
            image_seconds=fmean(one.image_seconds for one in speeds),
            evaluation_seconds=fmean(one.evaluation_seconds for one in speeds),
        )
