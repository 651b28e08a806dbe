"""What has gone wrong in this run so far, and what follows: another attempt, a machine left out, the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.failures import Failure

STRIKES = 2  # failures in a row that leave a machine out
ALIKE = 5  # first trials failing alike that end the study


@dataclass
class Faults:
    """The failures of one command, by trial and by machine."""

    retries: int
    attempts: Counter[int] = field(default_factory=Counter)  # by trial, those that failed
    in_a_row: defaultdict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))  # by machine
    left_out: dict[str, Failure] = field(default_factory=dict)  # by machine, the failure that was too much
    first: list[Failure] = field(default_factory=list)  # of the trials that ended before one ended well
    proven: bool = False  # a trial has ended well, or the first ones failed for different reasons

    def again(self, number: int, failure: Failure) -> bool:
        """Notes that an attempt failed; whether the trial gets another."""
        self.attempts[number] += 1
        if failure.node and failure.state != DIVERGED:
            self.in_a_row[failure.node].append(failure)
        return failure.transient and self.attempts[number] <= self.retries

    def to_leave_out(self, machines: Collection[str]) -> str | None:
        """A machine that failed too often in a row, of those that run; never the last one."""
        usable = [machine for machine in machines if machine not in self.left_out]
        for machine, failures in self.in_a_row.items():
            if len(failures) >= STRIKES and machine in usable and len(usable) > 1:
                self.left_out[machine] = failures[-1]
                return machine
        return None

    def ended_well(self, node: str) -> None:
        """A trial came to its end."""
        self.proven = True
        self.in_a_row.pop(node, None)

    def ended_badly(self, failure: Failure) -> None:
        """A trial failed for good."""
        if not self.proven:
            self.first.append(failure)
            self.proven = len({failure.kind for failure in self.first}) > 1

    @property
    def alike(self) -> Failure | None:
        """The failure that the first trials share, once they are enough to end the study."""
        return self.first[-1] if not self.proven and len(self.first) >= ALIKE else None
