"""Why a trial ended without a result: a word, a reason, and whether another attempt may help."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hw2tune.errors import DataError
from hw2tune.records.trials.states import DATA_ERROR, DIVERGED, FAILED, LOST, OUT_OF_MEMORY
from hw2tune.search.messages import FAILURE

FRAMES = 8  # of a traceback: the innermost, where the fault is


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial's end in words. `transient`: another attempt, perhaps on another machine, may well succeed."""

    state: str
    reason: str  # begins with the state
    traceback: str = ""
    transient: bool = False
    node: str = ""  # address of the machine

    @property
    def kind(self) -> tuple[str, str]:
        """What failures of one cause share: the state and the error, without epoch and numbers of it."""
        return self.state, "" if self.state == DIVERGED else self.reason.partition(": ")[2]


def of_exception(error: Exception, epoch: int | None) -> Failure:
    """An exception in a worker, in training `epoch`, or while it prepared (None). To be called where it is caught."""
    where = "in its preparation" if epoch is None else f"in epoch {epoch}"
    if type(error).__name__ == "DivergedError":  # by name: training's modules import torch, this one must not
        return Failure(state=DIVERGED, reason=f"{DIVERGED} {where}: {error}")
    word = _word(error)
    told = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
    return Failure(
        state=word,
        reason=f"{word} {where}: {told}",
        traceback=traceback.format_exc(limit=-FRAMES),
        transient=word != FAILED or epoch is None or "CUDA" in told or isinstance(error, OSError),
    )


def _word(error: Exception) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the host's; torch's, on CUDA
        return OUT_OF_MEMORY
    return DATA_ERROR if isinstance(error, DataError) else FAILED


def of_worker(text: str, *, node: str, killed_by_kernel: bool = False) -> Failure:
    """A worker that died without a word of its own; `text` is what Ray says of it."""
    word, told = _died(text, killed_by_kernel=killed_by_kernel)
    return Failure(state=word, reason=f"{word}: {told}", traceback=text, transient=True, node=node)


def _died(text: str, *, killed_by_kernel: bool) -> tuple[str, str]:
    low = text.lower()
    if "low on memory" in low or "outofmemory" in low:
        return OUT_OF_MEMORY, "Ray's memory monitor ended its worker process"
    if killed_by_kernel:
        return OUT_OF_MEMORY, "the kernel ended its worker process"
    if any(word in text for word in ("ObjectLostError", "ObjectFetchTimedOutError", "OwnerDiedError")):
        return DATA_ERROR, "its data set could not be fetched"
    if "creation task" in text:  # Ray's word for a process that failed before the trial's own code ran
        return FAILED, text.strip().splitlines()[-1].strip()
    if "node" in low and ("node has died" in low or "node died" in low or "node is dead" in low or "was dead" in low):
        return LOST, "its machine is gone"
    return LOST, "its worker process died"


def failure_in(result: Mapping[str, Any] | None) -> Failure | None:
    """The failure that a trial reported, in a result flattened by Tune; None for an epoch."""
    prefix = FAILURE + "/"
    fields = {key.removeprefix(prefix): value for key, value in (result or {}).items() if key.startswith(prefix)}
    return Failure(**fields) if fields else None


def kernel_kills() -> int:
    """How many processes this machine's kernel has ended for memory; 0 where it does not say."""
    try:
        with open("/proc/vmstat", encoding="ascii") as lines:  # noqa: PTH123  # a file of the kernel's, no path of ours
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
