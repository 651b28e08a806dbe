"""The virtual clock of a study with `order = "virtual"`: a function of its trials, so a continued study knows it too.

Each of the study's slots runs one trial after another, and every epoch takes one unit of time. A trial begins where the
slot that is free first left off, or later if the budget had nothing for it then. What happens is ordered by its virtual
time, and by number at the same time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

ENDED_IN = "ended_in_epoch"  # user attribute of a trial that failed: the epoch whose end was its own
STARTED = "virtual_start"  # user attribute of a trial; without it no decision has followed its start
RESERVED = "epochs_reserved"  # user attribute of a trial: up to this one the budget has epochs for it
DROPPED = "dropped_epochs"  # user attribute of the study: epochs that were trained behind a stop

Moment = tuple[int, int]  # the virtual time at which an epoch of a trial ends, and the trial's number


def decided_epochs(trial: FrozenTrial) -> int:
    """Return the last epoch on which the study has decided, a failing one included."""
    return int(trial.user_attrs.get(ENDED_IN, trial.last_step or 0))


@dataclass
class Clock:
    """Virtual starts of a study's trials, and the times from which slots are free."""

    free: list[int]  # a heap
    starts: dict[int, int] = field(default_factory=dict)  # by number
    ended: set[int] = field(default_factory=set)
    now: int = 0  # the time of the last decision

    @classmethod
    def of(cls, slots: int, trials: Iterable[FrozenTrial]) -> Clock:
        """Return the clock where these trials, by number, have left it."""
        clock = cls([0] * slots)
        for trial in trials:
            if trial.state != TrialState.WAITING:
                clock.begin(trial.number, trial.user_attrs.get(STARTED))
                if epoch := decided_epochs(trial):
                    clock.decide(trial.number, epoch)
                if trial.state.is_finished() or ENDED_IN in trial.user_attrs:
                    clock.end(trial.number, epoch)
        return clock

    def begin(self, number: int, start: int | None = None) -> None:
        """Start a trial in the slot that is free first, not before now; or when it is known to have begun."""
        free = heapq.heappop(self.free) if self.free else max(self.starts.values())
        self.starts[number] = max(free, self.now) if start is None else start

    def decide(self, number: int, epoch: int) -> None:
        """Move to the moment at which an epoch of a trial ends."""
        self.now = max(self.now, self.moment(number, epoch)[0])

    def end(self, number: int, epoch: int) -> None:
        """Free a trial's slot after an epoch; once, though a failed trial may be run again."""
        if number not in self.ended:
            self.ended.add(number)
            heapq.heappush(self.free, self.moment(number, epoch)[0])

    def moment(self, number: int, epoch: int) -> Moment:
        """Return the moment at which an epoch of a trial ends."""
        return self.starts[number] + epoch, number

    def last(self, trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
        """Return the trial on whose epoch the study has decided last; None before the first epoch."""
        begun = [trial for trial in trials if trial.number in self.starts and decided_epochs(trial)]
        return max(begun, key=lambda one: self.moment(one.number, decided_epochs(one)), default=None)


def awaited(slots: int, trials: Iterable[FrozenTrial]) -> tuple[int, int] | None:
    """Return the trial and its epoch for which all decisions of a study wait; None if nothing runs."""
    trials = list(trials)
    clock = Clock.of(slots, trials)
    moments = {
        clock.moment(one.number, epoch): epoch
        for one in trials
        if one.state == TrialState.RUNNING
        for epoch in [(one.last_step or 0) + 1]
    }
    return (min(moments)[1], moments[min(moments)]) if moments else None
