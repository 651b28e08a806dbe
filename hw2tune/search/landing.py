"""A search with an epoch budget, landed: which trials begin, and how far each may go, so that the budget is kept.

A trial has epochs reserved up to its next rung, a reference up to its end, and reserved epochs are never given away. So
the budget is exceeded by references alone, where it is smaller than what they need. Until a trial of the sampler is
complete, what the furthest one lacks is kept for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hw2tune.records.trials.rows import TrialRow
from hw2tune.search.lengths import epochs_to_come, going_on, halved
from hw2tune.study.names import HALVING
from hw2tune.study.schema import Study

WIDE = 8  # epochs of the budget for each slot; with fewer trials wait for each other: benchmarks/landing.py


def in_bracket(study: Study, left: int, slots: int) -> bool:
    """Return whether trials wait for each other at their rungs, where so many epochs are left for the sampler's."""
    of_pruner = study.pruner.name in HALVING and left >= epochs_to_come(halved(study))[0]
    return of_pruner and slots > 1 and left < WIDE * slots


@dataclass(kw_only=True)
class Share:
    """The epochs of a trial: those it has, and the one up to which more are reserved."""

    reference: bool
    epoch: int
    limit: int
    waits: bool = False  # at its rung, for those on their way to it


class Landing:
    """The trials that have not ended, and what is left of the budget for them and for others.

    A trial begins if it can be brought to its first rung with what is left, once the others have what they are expected
    to need. With many slots most would begin at once, and those that come to a rung first would pass, as they are
    compared with few. Then as many begin as synchronous successive halving can bring to its end (Jamieson and
    Talwalkar, 2016, arXiv 1502.07943): at each rung they wait for the last one, and the best go on.
    """

    def __init__(self, study: Study, slots: int) -> None:
        assert study.budget_epochs is not None
        self.study, self.slots, self.budget = study, slots, study.budget_epochs
        self.stops = (*study.rungs, study.max_epochs)
        self.shares: dict[int, Share] = {}  # by number
        self.bracket = False  # whether trials wait at their rungs
        self.closed = False  # whether the bracket has all of its trials
        self.landed = False  # whether a trial of the sampler is complete

    @property
    def drawn(self) -> list[Share]:
        """The shares of the sampler's trials."""
        return [one for one in self.shares.values() if not one.reference]

    def left(self, spent: int) -> int:
        """Return the epochs that are neither spent nor reserved."""
        return self.budget - spent - sum(one.limit - one.epoch for one in self.shares.values())

    def admits(self, spent: int, rows: Sequence[TrialRow]) -> bool:
        """Return whether a trial of the sampler may begin, once all trials (`rows`) have spent so many epochs."""
        left = self.left(spent)
        if not (self.bracket if self.drawn else in_bracket(self.study, left, self.slots)):
            return left - self._needed(epochs_to_come(going_on(self.study, rows))) >= self.study.least_epochs
        expected = epochs_to_come(halved(self.study))
        return not (self.drawn and self.closed) and left - self._needed(expected) >= expected[0]

    def _needed(self, expected: Sequence[float]) -> float:
        """Return the epochs that trials are expected to need beyond those reserved, or one of them to be complete."""
        needed = sum(expected[one.limit] for one in self.drawn if one.limit in self.stops)
        return max(needed, self._kept(0))

    def _kept(self, limit: int) -> int:
        """Return the epochs that are kept for another trial, from one with epochs up to `limit`."""
        furthest = max((one.limit for one in self.drawn), default=0)
        return 0 if self.landed or furthest <= limit else self.study.max_epochs - furthest

    def begin(self, number: int, *, reference: bool, spent: int, epoch: int = 0) -> None:
        """Reserve the epochs of a trial that begins, or that an earlier process left at this epoch."""
        left = self.left(spent)
        if not reference and not self.drawn:
            self.bracket, self.closed = in_bracket(self.study, left, self.slots), False
        self.closed |= not reference and epoch > self.study.least_epochs
        share = Share(reference=reference, epoch=epoch, limit=self.study.max_epochs if reference else epoch)
        self.shares[number] = share
        if not (reference or (self.bracket and epoch in self.stops)):
            self._extend(share, left)

    def _extend(self, share: Share, left: int) -> None:
        """Reserve epochs up to the next rung, or as many as are left."""
        following = next((stop for stop in self.stops if stop > share.epoch), share.epoch)
        share.limit = min(following, share.epoch + max(0, left - self._kept(share.limit)))

    def waits(self, number: int, epoch: int) -> bool:
        """Return whether a trial has to wait after an epoch."""
        one = self.shares[number]
        one.epoch = max(one.epoch, epoch)  # one that goes back to an older checkpoint has spent its epochs all the same
        one.waits = self.bracket and not one.reference and one.epoch == one.limit and epoch in self.study.rungs
        return one.waits

    def continues(self, number: int, spent: int) -> bool:
        """Return whether a trial has an epoch left, which it gets where the budget has one."""
        one = self.shares[number]
        if one.epoch == one.limit and not one.reference:
            self._extend(one, self.left(spent))
        one.waits = False
        return one.epoch < one.limit

    def due(self, *, more: bool) -> list[int]:
        """Return the trials that wait at a rung to which none is on its way. With `more`, others will yet begin."""
        if more and not self.closed:
            return []
        for rung in self.study.rungs:
            coming = any(one.limit < rung or (one.limit == rung and not one.waits) for one in self.drawn)
            found = [number for number, one in self.shares.items() if one.waits and one.limit == rung]
            if found and not coming:
                self.closed = True
                return found
        return []

    def end(self, number: int, *, complete: bool = False) -> None:
        """Give back what a trial leaves."""
        one = self.shares.pop(number, None)
        self.landed |= complete and one is not None and not one.reference
