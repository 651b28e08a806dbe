"""The names of a trial's states: the same in terminal, storage, tables and page."""

COMPLETE, PRUNED = "complete", "pruned"
RANKED = (COMPLETE, PRUNED)  # the value of a trial in one of these counts
DIVERGED, FAILED, DATA_ERROR, OUT_OF_MEMORY, LOST = "diverged", "failed", "data error", "out of memory", "lost"
RUNNING, INTERRUPTED, WAITING = "running", "interrupted", "waiting"
# What the configuration does on any machine of the kind; "failed" is an error of the network's in every attempt.
FAILED_BY_ITSELF = (DIVERGED, OUT_OF_MEMORY, FAILED)
COSTS_ITS_EPOCH = (DIVERGED, OUT_OF_MEMORY)  # a failure at the end of an epoch, which counts as trained
