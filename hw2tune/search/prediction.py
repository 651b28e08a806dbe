"""What trials that were stopped, or still run, would have reached: their best so far with what others gained since."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def best_so_far(values: Sequence[float]) -> NDArray[np.float64]:
    """The running maximum of a curve, epoch by epoch."""
    return np.maximum.accumulate(np.asarray(values, np.float64))


def predicted_finals(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """(N,) the value at the end of N curves, larger being better; a curve has one value an epoch, and at least one.

    From each epoch to the next a curve is taken to gain the median of what the curves that have both gained, so that
    one that was stopped is neither worse than all that were not, nor as good as it was when they were as young.
    """
    best = [best_so_far(curve) for curve in curves]
    longest = max(map(len, best), default=0)
    left = np.zeros(longest + 1)  # gain from an epoch to the end
    for epoch in range(longest - 1, 0, -1):
        gains = [curve[epoch] - curve[epoch - 1] for curve in best if len(curve) > epoch]
        left[epoch] = left[epoch + 1] + float(np.median(gains))
    return np.array([curve[-1] + left[len(curve)] for curve in best])
