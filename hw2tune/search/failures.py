"""Why a trial ended without a result: a word, a reason, and whether another attempt may help."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass

from hw2tune.errors import DataError
from hw2tune.records.trials.states import DATA_ERROR, DIVERGED, FAILED, OUT_OF_MEMORY
from hw2tune.user_code.importer import in_words

FRAMES = 8  # of a traceback: the innermost, where the fault is


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial's end as text.

    `transient`: it speaks about the machine or the moment and not about the trial; another attempt, perhaps on another
    machine, may well succeed. `worker_died`: the worker could not say so itself.
    """

    state: str
    reason: str  # begins with the state
    traceback: str = ""
    transient: bool = False
    machine: str = ""  # its address
    worker_died: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        """What failures of one cause share: the state and the error, without epoch and numbers of it."""
        return self.state, "" if self.state == DIVERGED else self.reason.partition(": ")[2]


def failure_of(error: Exception, epoch: int | None, code: Mapping[str, str]) -> Failure:
    """Return an exception in a worker as a failure, in training `epoch` or in its preparation (None).

    An error of the study's `code` has its file and line. To be called where the exception is caught.
    """
    where = "in its preparation" if epoch is None else f"in epoch {epoch}"
    if type(error).__name__ == "DivergedError":  # by name: training's modules import torch, this one must not
        return Failure(state=DIVERGED, reason=f"{DIVERGED} {where}: {error}")
    state = _state(error)
    return Failure(
        state=state,
        reason=f"{state} {where}: {in_words(error, code)}",
        traceback=traceback.format_exc(limit=-FRAMES),
        transient=state != FAILED or epoch is None or "CUDA" in str(error) or isinstance(error, OSError),
    )


def _state(error: Exception) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the host's; torch's, on CUDA
        return OUT_OF_MEMORY
    return DATA_ERROR if isinstance(error, DataError) else FAILED
