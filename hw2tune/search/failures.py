"""Failures of trials, and what follows: another attempt, a machine that is excluded, or the end of the run."""

from __future__ import annotations

import traceback
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from hw2tune.errors import DataError
from hw2tune.records.trials.states import DATA_ERROR, DIVERGED, FAILED, OUT_OF_MEMORY
from hw2tune.user_code.importer import in_words

FRAMES = 8  # of a traceback: the innermost, where the fault is
MAX_CONSECUTIVE_FAILURES = 2  # trials failing in a row on a machine that exclude it
MACHINES = 10  # that die under one trial, before it may be the trial that kills them
COMMON = 5  # first trials of a run, failing in the same way, that end it


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial's end as text."""

    state: str
    reason: str  # begins with the state
    traceback: str = ""
    transient: bool = False  # of the machine or the moment and not of the trial: another attempt may well succeed
    machine: str = ""  # its address
    ended_in: int | None = None  # in virtual order, the epoch whose end was that of the trial
    worker_died: bool = False  # and could not say so itself
    machine_left: bool = False  # in order
    machine_died: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        """The common part of failures of one cause: the state and the error, without its epoch and numbers."""
        return self.state, "" if self.state == DIVERGED else self.reason.partition(": ")[2]


def failure_of(error: Exception, epoch: int | None, code: Mapping[str, str]) -> Failure:
    """Return an exception in a worker as a failure, in training `epoch` or in its preparation (None).

    An error of the study's `code` has its file and line. To be called where the exception is caught.
    """
    where = "in its preparation" if epoch is None else f"in epoch {epoch}"
    if type(error).__name__ == "DivergedError":  # by name: training's modules import torch, this one must not
        return Failure(state=DIVERGED, reason=f"{DIVERGED} {where}: {error}")
    state = DATA_ERROR if isinstance(error, DataError) else FAILED
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the host's; torch's, on CUDA
        state = OUT_OF_MEMORY
    return Failure(
        state=state,
        reason=f"{state} {where}: {in_words(error, code)}",
        traceback=traceback.format_exc(limit=-FRAMES),
        transient=state != FAILED or epoch is None or "CUDA" in str(error) or isinstance(error, OSError),
    )


@dataclass
class FailurePolicy:
    """The failures of one command, by trial and by machine."""

    retries: int
    attempts: Counter[int] = field(default_factory=Counter)  # by trial, those that failed
    machines: Counter[int] = field(default_factory=Counter)  # by trial, those that died under it
    in_a_row: defaultdict[str, dict[int, Failure]] = field(default_factory=lambda: defaultdict(dict))
    excluded: dict[str, Failure] = field(default_factory=dict)  # by machine, the failure that was too much
    first: list[Failure] = field(default_factory=list)  # of the trials that ended before one ended well
    proven: bool = False  # a trial has ended well, or the first ones failed for different reasons
    sound: bool = False  # trials of another arm have ended well, so those that diverge do it by themselves

    def retry(self, trial: int, failure: Failure) -> bool:
        """Note that an attempt failed; return whether the trial gets another."""
        self.machines[trial] += failure.machine_died
        if self.is_free(trial, failure):
            return True
        self.attempts[trial] += 1
        if failure.machine and failure.transient:
            self.in_a_row[failure.machine][trial] = failure  # by trial: one bad trial makes no bad machine
        return failure.transient and self.attempts[trial] <= self.retries

    def is_free(self, trial: int, failure: Failure) -> bool:
        """Return whether a failure says nothing of the trial: its machine has left, or died, though not too many."""
        return failure.machine_left or (failure.machine_died and self.machines[trial] <= MACHINES)

    def exclude(self, machines: Collection[str]) -> str | None:
        """Return a machine of those that can run a trial which failed too many in a row; never the last one."""
        usable = {*machines} - self.excluded.keys()
        for machine, failures in self.in_a_row.items():
            if len(failures) >= MAX_CONSECUTIVE_FAILURES and machine in usable and len(usable) > 1:
                self.excluded[machine] = list(failures.values())[-1]
                return machine
        return None

    def succeeded(self, machine: str) -> None:
        """Note that a trial came to its end."""
        self.proven = True
        self.in_a_row.pop(machine, None)

    def failed(self, failure: Failure) -> None:
        """Note that a trial failed for good."""
        if not self.proven:
            self.first.append(failure)
            self.proven = len({one.kind for one in self.first}) > 1 or (self.sound and failure.state == DIVERGED)

    @property
    def common_failure(self) -> Failure | None:
        """The failure that the first trials share, once they are enough to end the run."""
        return self.first[-1] if not self.proven and len(self.first) >= COMMON else None
