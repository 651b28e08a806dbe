"""A driver that decides in the order of a virtual clock: the same study twice is the same study.

With several workers chance says which epoch ends first, and what is known at a rung or to the sampler depends on it.
Here each result waits until those before it in virtual order are decided on, while its trial trains on. Decisions, and
with them all records, depend on configurations and results alone. A trial may so be stopped late: what it has trained
behind its stop is dropped.

Results that wait are in memory: after a kill they are trained again from the last epoch that was decided on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import REASON, STATE
from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.algorithms import build_sampler
from hw2tune.search.driver import (
    Assignment,
    Decision,
    Done,
    EpochResult,
    LiveTrial,
    Outcome,
    RunEnd,
    StudyDriver,
    Wait,
)
from hw2tune.search.failures import COMMON, Failure
from hw2tune.search.order import ENDED_IN, RESERVED, STARTED, Clock, Moment, decided_epochs
from hw2tune.search.recorder import Weights


@dataclass
class Ahead:
    """A trial after its last decision: results and the failure that wait for those of other trials."""

    epochs: int  # decided on
    results: dict[int, EpochResult | None] = field(default_factory=dict)  # by epoch; None: it is in the trial's folder
    failure: Failure | None = None  # behind the results


@dataclass
class OrderedDriver(StudyDriver):
    """The trials of one run; `live` are those that have not ended in virtual order, wherever their workers are."""

    ahead: dict[int, Ahead] = field(default_factory=dict)  # by number, as `live`
    ready: list[Assignment] = field(default_factory=list)  # begun, and not yet at a worker
    at_workers: dict[int, bool] = field(default_factory=dict)  # number -> on a GPU

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clock = Clock.of(self.study.slots or 1, self.recorder.trials())
        self.dropped = self.recorder.dropped_epochs
        self.given_first = {one.number for one in self.interrupted}
        self.taken_up = False

    def next(self) -> Assignment | Wait | Done:
        """Return the next trial to run; Wait until all is known that lies before its virtual start."""
        self._advance()
        if not self.has_more:
            assert self.at_workers or self.ending or self.suspects or not self.live, "somebody is waited for"
            return Wait() if self.at_workers or self.ending is not None else Done()
        given = self._for_workers[0]
        self.ready.remove(given)
        self.at_workers[given.trial] = sum(self.at_workers.values()) < self.gpu_slots
        return replace(given, gpu=self.at_workers[given.trial])

    @property
    def has_more(self) -> bool:
        """Return whether `next` has a trial to give."""
        return self.ending is None and bool(self._for_workers)

    @property
    def may_have_more(self) -> bool:
        """Return whether `next` has a trial to give, or will once the results before its virtual start are known."""
        return self.has_more or (self.ending is None and not self.suspects and self._may_open)

    @property
    def _for_workers(self) -> list[Assignment]:
        return [one for one in self.ready if not self.suspects or one.trial in self.given_first]

    @property
    def running(self) -> list[LiveTrial]:
        """The trials that are being trained and have not been stopped."""
        return [self.live[number] for number in self.at_workers if number in self.live]

    def resumed(self, trial: int, epochs: Sequence[Mapping[str, Any]], weights: Weights | None = None) -> Decision:
        """Continue a trial behind these epochs, which its checkpoint holds; `weights` are those of the best one."""
        if (one := self.ahead.get(trial)) is not None:
            one.results |= {int(record["epoch"]): None for record in epochs[one.epochs :]}
            self.recorder.keep_weights(trial, epochs, weights)
            if not one.results:
                with self._writing():
                    self.recorder.follow_checkpoint(self.live[trial].trial, epochs)
        return self._on(trial, len(epochs))

    def epoch(self, trial: int, result: EpochResult) -> Decision:
        """Keep a result until it is its turn; return whether the trial's worker continues."""
        epoch = int(result.record["epoch"])
        if (one := self.ahead.get(trial)) is None:
            self.dropped += 1
        elif epoch > one.epochs:
            one.results[epoch] = result
        else:  # trained again from an older checkpoint
            with self._writing():
                self.recorder.record_epoch(self.live[trial].trial, result.record, result.checkpoint)
                self.recorder.keep_weights(trial, [result.record], result.weights)
        return self._on(trial, epoch)

    def _on(self, trial: int, epoch: int) -> Decision:
        self._advance()
        return Decision.CONTINUE if trial in self.live and epoch < self.study.max_epochs else Decision.STOP

    def ended(self, trial: int, outcome: Outcome) -> None:
        """End a trial's attempt at its worker: behind its last epoch, stopped, or with a failure."""
        self.at_workers.pop(trial, None)
        failure, one = outcome.failure, self.ahead.get(trial)
        if self.recorder.not_writable is not None:
            return
        if failure is None:
            self.policy.in_a_row.pop(outcome.machine, None)
        elif one is not None and not (failure.worker_died and self.ending is RunEnd.INTERRUPTED):
            with self._writing():
                if (again := self._retried(self.live[trial].trial, failure)) is not None:
                    self.interrupted.append(again)
                    self._give(self._begin())
                else:
                    one.failure = failure
        self._advance()
        if failure is not None:
            self._exclude_machine()
        if self.ending is not RunEnd.NOT_WRITABLE:
            with self._writing():
                self.recorder.note_dropped(self.dropped)

    def _advance(self) -> None:
        """Decide on all that is known, up to the first result or start that is not."""
        with self._writing():
            if not self.taken_up and self.ending is None:
                self._take_up()
            while self.ending is None:
                waiting = (self.clock.moment(number, one.epochs + 1) for number, one in self.ahead.items())
                moment = min(waiting, default=None)
                if not (self._opened(moment) or (moment and self._decided(moment[1]))):
                    return

    def _take_up(self) -> None:
        """Begin what an earlier process left, and decide again what a kill may have parted from its epoch."""
        self.taken_up, finished = True, self.recorder.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        self._remember_failures(finished)
        last = self.clock.last(self.recorder.trials())
        while self.interrupted:
            assignment = self._begin()
            self._give(assignment)
            self._note_start(assignment.trial)
        if last is not None and last.number in self.live and decided_epochs(last) == (epoch := last.last_step or 0):
            self._follow(last.number, self._decide(self.live[last.number], epoch))

    def _remember_failures(self, finished: Sequence[Any]) -> None:
        states = [one.user_attrs.get(STATE) for one in finished]
        if any(state != DIVERGED for state in states):
            self.policy.proven = True
        elif len(states) < COMMON:
            self.policy.first = [Failure(state=DIVERGED, reason=one.user_attrs[REASON]) for one in finished]

    def _reserve(self, trial: optuna.Trial | FrozenTrial, epoch: int = 0) -> None:
        """Reserve epochs of the budget, after a kill those that the trial had: computed anew they would differ."""
        if ENDED_IN in trial.user_attrs:  # its epochs were given back when it failed
            return
        super()._reserve(trial, epoch)
        if self.landing is not None and isinstance(trial, FrozenTrial) and RESERVED in trial.user_attrs:
            self.landing.shares[trial.number].limit = trial.user_attrs[RESERVED]
        elif isinstance(trial, optuna.Trial):
            self._note_reserved(trial)

    def _note_reserved(self, trial: optuna.Trial) -> None:
        if self.landing is not None and trial.number in self.landing.shares:
            limit = self.landing.shares[trial.number].limit
            if trial.user_attrs.get(RESERVED) != limit:
                trial.set_user_attr(RESERVED, limit)

    def _decide(self, live: LiveTrial, epoch: int, *, ask: bool = True) -> Decision:
        """Decide about a trial after an epoch, and keep what it has of the budget."""
        if self.landing is not None and live.trial.number not in self.landing.shares:
            super()._reserve(live.trial, epoch)
        decision = super()._decide(live, epoch, ask=ask)
        if decision is Decision.CONTINUE:
            self._note_reserved(live.trial)
        return decision

    def _give(self, assignment: Assignment) -> None:
        number = assignment.trial
        self.ahead[number] = Ahead(epochs=self.recorder.last_epoch(self.live[number].trial))
        self.ready = sorted([*self.ready, assignment], key=lambda one: one.trial)

    def _opened(self, moment: Moment | None) -> bool:
        """Open a trial if a slot is free before that moment and the study has one left."""
        free = self.clock.free
        unknown = any(number in self.clock.ended for number in self.live)  # a failure from before a kill
        if not free or unknown or (moment is not None and moment[0] <= free[0]) or not self._may_open:
            return False
        self.recorder.optuna_study.sampler = build_sampler(self.study, self.begun)
        assignment = self._begin()
        self.clock.begin(assignment.trial)
        self._note_start(assignment.trial)
        self._give(assignment)
        return True

    def _note_start(self, number: int) -> None:
        trial = self.live[number].trial
        if STARTED not in trial.user_attrs:
            trial.set_user_attr(STARTED, self.clock.starts[number])

    def _decided(self, number: int) -> bool:
        """Decide on the next epoch of a trial, or on its failure there; return False if it is not known yet."""
        one, live = self.ahead[number], self.live[number]
        epoch = one.epochs + 1
        if epoch in one.results:
            self.clock.decide(number, epoch)
            one.epochs, result = epoch, one.results.pop(epoch)
            if result is None:
                history = read_epochs(self.recorder.folder.trial(number))
                self.recorder.follow_checkpoint(live.trial, history[:epoch])
                self._follow(number, self._decide(live, epoch))
            else:
                self._follow(number, super().epoch(number, result))
        elif one.failure is not None:
            self.clock.decide(number, epoch)
            self._end_trial(number, one.failure, epoch)
        else:
            return False
        return True

    def _follow(self, number: int, decision: Decision) -> None:
        if decision is Decision.STOP:
            self._end_trial(number, None, self.ahead[number].epochs)

    def _end_trial(self, number: int, failure: Failure | None, epoch: int) -> None:
        """End a trial in virtual order; its worker hears of it with its next result."""
        live = self.live.pop(number)
        self.dropped += len(self.ahead.pop(number).results)
        self.ready = [one for one in self.ready if one.trial != number]
        if (failure := failure or self.recorder.without_value(live.trial)) is None:
            self._succeeded(live, "")
        else:
            self._failed(live.trial, replace(failure, ended_in=epoch))
            if any(trial.number == number for trial, _ in self.deferred):
                live.trial.set_user_attr(ENDED_IN, epoch)
        self.clock.end(number, epoch)
