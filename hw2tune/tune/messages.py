"""What travels in a trial's result from the worker to the driver, besides the epoch's record.

Weights travel here rather than over a shared disk: they are under 1 MB, and no cluster then needs one.
"""

from __future__ import annotations

from hw2tune.records.states import LOST

LAST = "last_checkpoint"  # bytes: the whole training state after the epoch
BEST = "best_weights"  # bytes: the weights, where the epoch is the best so far
RESUMED = "resumed"  # the epochs that a continued trial has, on its first result: none was trained for it
FAILURE = "failure"  # in place of an epoch: `state` and `reason` in the words of the records, perhaps `traceback`


def failure(state: str, reason: str, traceback: str = "") -> dict[str, str]:
    """Why a trial ended."""
    return {"state": state, "reason": reason} | ({"traceback": traceback} if traceback else {})


LOST_WORKER = failure(LOST, f"{LOST}: its worker process died")
