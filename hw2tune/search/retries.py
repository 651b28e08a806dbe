"""What follows from a failure: another attempt, a machine that is excluded, or the end of the run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from hw2tune.search.failures import Failure

MAX_CONSECUTIVE_FAILURES = 2  # trials failing in a row on a machine that exclude it
COMMON = 5  # first trials failing in the same way that end the run


@dataclass
class FailurePolicy:
    """The failures of one command, by trial and by machine."""

    retries: int
    attempts: Counter[int] = field(default_factory=Counter)  # by trial, those that failed
    in_a_row: defaultdict[str, dict[int, Failure]] = field(default_factory=lambda: defaultdict(dict))
    excluded: dict[str, Failure] = field(default_factory=dict)  # by machine, the failure that was too much
    first: list[Failure] = field(default_factory=list)  # of the trials that ended before one ended well
    proven: bool = False  # a trial has ended well, or the first ones failed for different reasons

    def retry(self, trial: int, failure: Failure) -> bool:
        """Notes that an attempt failed; whether the trial gets another."""
        self.attempts[trial] += 1
        if failure.machine and failure.transient:
            self.in_a_row[failure.machine][trial] = failure  # by trial: one bad trial makes no bad machine
        return failure.transient and self.attempts[trial] <= self.retries

    def exclude(self, machines: Collection[str]) -> str | None:
        """A machine that failed too many trials in a row, of those that run; never the last one."""
        usable = [machine for machine in machines if machine not in self.excluded]
        for machine, failures in self.in_a_row.items():
            if len(failures) >= MAX_CONSECUTIVE_FAILURES and machine in usable and len(usable) > 1:
                self.excluded[machine] = list(failures.values())[-1]
                return machine
        return None

    def succeeded(self, machine: str) -> None:
        """A trial came to its end."""
        self.proven = True
        self.in_a_row.pop(machine, None)

    def failed(self, failure: Failure) -> None:
        """A trial failed for good."""
        if not self.proven:
            self.first.append(failure)
            self.proven = len({failure.kind for failure in self.first}) > 1

    @property
    def common_failure(self) -> Failure | None:
        """The failure that the first trials share, once they are enough to end the run."""
        return self.first[-1] if not self.proven and len(self.first) >= COMMON else None
