"""What travels in a trial's result from the worker to the driver, besides the epoch's record.

Checkpoints travel here rather than over a shared disk: they are about 1 MB at most, and no cluster then needs one.
"""

CHECKPOINT = "checkpoint"  # bytes: the whole training state after the epoch
RESUMED = "resumed"  # the epoch of a resumed trial's checkpoint, on its first result: no epoch was trained for it
FAILURE = "failure"  # in place of an epoch: the fields of `search.failures.Failure`


class WorkerBrokenError(Exception):
    """A failure, by its fields, after which the worker's process can train nothing more."""
