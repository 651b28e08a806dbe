"""How often a training is saved: after every epoch if that costs next to nothing, else as Young has it.

A checkpoint costs time, and so does a worker's death: what was trained since the last one is trained again. With a cost
C, and deaths M apart on average, an interval of sqrt(2 C M) loses the least (Young, 1974, Communications of the ACM
17(9); Daly, 2006, is more exact where C is not small against M).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

BETWEEN_DEATHS = 3600.0  # seconds: more deaths than on most machines, so that losses stay below two minutes
MOST = 0.05  # of the time of a training, for checkpoints
NOTHING = 0.01  # of it
SMALL = 4_000_000  # bytes, which cost no more than Tune takes from epoch to epoch
FIRST_GUESS = 1e-8  # seconds for a byte: 100 MB/s through serialisation, network and disk


def interval(cost: float) -> float:
    """Return the seconds from one checkpoint to the next, for a cost in seconds."""
    return max(math.sqrt(2 * cost * BETWEEN_DEATHS), cost / MOST)


def seconds_at_risk(size: int, epoch_seconds: float, seconds_per_byte: float = FIRST_GUESS) -> float:
    """Return the training that a worker's death costs at most, for a checkpoint of `size` bytes."""
    if is_cheap(size, epoch_seconds, seconds_per_byte):
        return epoch_seconds
    return math.ceil(interval(size * seconds_per_byte) / epoch_seconds) * epoch_seconds


def is_cheap(size: int, epoch_seconds: float, seconds_per_byte: float) -> bool:
    """Return whether a checkpoint after every epoch costs next to nothing."""
    return size <= SMALL or size * seconds_per_byte <= NOTHING * epoch_seconds


@dataclass
class Cadence:
    """The checkpoints of a process, whose cost it learns: one has been paid once the next epoch begins.

    The cost is the median of the last three, the guess among them: one stall of a disk or the driver is no rule.
    """

    seconds_per_byte: float = FIRST_GUESS
    gap: float = math.inf  # seconds from epoch to epoch without a checkpoint, the shortest so far
    costs: deque[float] = field(default_factory=lambda: deque(maxlen=3))  # seconds for a byte

    def is_due(self, size: int, *, epoch_seconds: float, since: float) -> bool:
        """Return whether to save now, `since` seconds of training after the last checkpoint or the beginning."""
        if is_cheap(size, epoch_seconds, self.seconds_per_byte):
            return True
        return since >= interval(size * self.seconds_per_byte)

    def paid(self, size: int, seconds: float) -> None:
        """Learn from the time between two epochs, `size` being that of the checkpoint, or 0."""
        if size > SMALL:
            self.costs = self.costs or deque([self.seconds_per_byte], maxlen=3)
            self.costs.append(max(0.0, seconds - (self.gap if math.isfinite(self.gap) else 0.0)) / size)
            self.seconds_per_byte = median_low(self.costs)
        elif size == 0:
            self.gap = min(self.gap, seconds)
