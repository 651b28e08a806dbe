"""The names of a trial's states: the same in terminal, storage, tables and page."""

COMPLETE, PRUNED = "complete", "pruned"
RANKED = (COMPLETE, PRUNED)  # the value of a trial in one of these counts
DIVERGED, FAILED, DATA_ERROR, OUT_OF_MEMORY, LOST = "diverged", "failed", "data error", "out of memory", "lost"
RUNNING, INTERRUPTED, WAITING = "running", "interrupted", "waiting"
FAILED_BY_ITSELF = (DIVERGED, OUT_OF_MEMORY)  # what the configuration does, on any machine of the kind
