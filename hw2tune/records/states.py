"""The words for a trial's state: the same in terminal, storage, tables and page."""

COMPLETE, PRUNED, DIVERGED, FAILED, LOST = "complete", "pruned", "diverged", "failed", "lost"
RUNNING, INTERRUPTED, WAITING = "running", "interrupted", "waiting"
