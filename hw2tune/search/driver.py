"""The next step of a study, without the place where it is carried out: no Ray here.

Whatever runs trials asks `next` for one, hands each epoch to `epoch` and each end to `ended`, and stops where `end`
says why. Ray Tune does so through the adapters of `execution.tune`; tests and benchmarks do so themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import NotWritableError
from hw2tune.events import Listeners, TrialStarted
from hw2tune.records.atomic import Content, not_writable
from hw2tune.records.trials.rows import LABEL, configuration_of
from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.algorithms import told_as_users
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.landing import Landing
from hw2tune.search.recorder import FINISHED, Recorder, Weights
from hw2tune.study.hyperparameters import Value

JOURNAL_ENTRY = 300  # bytes, about


class RunEnd(Enum):
    """The reason for the end of a run of trials."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out of time"
    NOT_WRITABLE = "not writable"  # the disk refuses; the recorder says how
    COMMON_FAILURE = "common failure"  # the first trials of the run all failed in the same way
    MACHINE_EXCLUDED = "machine excluded"  # another run begins without it, or without GPUs that are gone


class Decision(Enum):
    """The decision about a trial after an epoch."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A trial to be run; with `checkpoint` it goes on from there."""

    trial: int
    hyperparameters: dict[str, Value]
    checkpoint: Content | None
    gpu: bool


@dataclass(frozen=True)
class Wait:
    """Nothing to give out now: a trial that runs may yet have to be run again, or leave epochs of the budget."""


@dataclass(frozen=True)
class Done:
    """Nothing more to give out."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """An epoch of a trial. `record` is its line in `result.json`: `epoch`, losses, accuracies, seconds.

    `checkpoint` is the training state, if it was saved after this epoch; `weights` fetches those of the network, if no
    epoch before was better, and returns None if they are gone with their worker.
    """

    record: Mapping[str, Any]
    checkpoint: Content | None
    weights: Weights | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a trial's attempt: by itself or by a verdict, or with a failure."""

    failure: Failure | None = None
    machine: str = ""  # address of the one that ran it


@dataclass
class LiveTrial:
    """A trial that was given out and has not ended."""

    trial: optuna.Trial
    gpu: bool
    pruned: bool = False
    waits: bool = False  # at its rung, with an epoch budget


@dataclass
class StudyDriver:
    """The trials of one run. Interrupted ones are given out first, then new ones until the study holds its number."""

    recorder: Recorder
    policy: FailurePolicy
    tell: Listeners
    slots: int = 1  # trials at once
    gpu_slots: int = 0
    machines: Callable[[], Collection[str]] = list  # addresses of those that can run a trial now
    deadline: float | None = None  # a time of `time.monotonic`
    suspects: bool = False  # only interrupted trials are given out
    live: dict[int, LiveTrial] = field(default_factory=dict)  # by number
    deferred: list[tuple[optuna.Trial, Failure]] = field(default_factory=list)  # failed before any trial ended well
    ending: RunEnd | None = None

    def __post_init__(self) -> None:
        self.study = self.recorder.study
        self.interrupted = self.recorder.trials(TrialState.RUNNING)
        self.begun = len(self.recorder.trials(*FINISHED)) + len(self.interrupted)
        slots = 1 if self.study.order == "virtual" else self.slots  # in virtual order a trial never waits at a rung
        self.landing = None if self.study.budget is None else Landing(self.study, slots)
        self.waiting: dict[int, optuna.Trial] = {}  # at a rung, by number
        if self.landing is not None:
            self.landing.landed = any(LABEL not in one.user_attrs for one in self.recorder.trials(TrialState.COMPLETE))
        for one in sorted(self.interrupted, key=lambda one: (LABEL not in one.user_attrs, -(one.last_step or 0))):
            self._reserve(one, one.last_step or 0)

    def _reserve(self, trial: optuna.Trial | FrozenTrial, epoch: int = 0) -> None:
        """Reserve epochs of the budget for a trial that begins, or that an earlier process left at this epoch."""
        if self.landing is not None and trial.number not in self.landing.shares:
            spent, reference = self.recorder.epochs_spent, LABEL in trial.user_attrs
            self.landing.begin(trial.number, reference=reference, spent=spent, epoch=epoch)

    def next(self) -> Assignment | Wait | Done:
        """Return the next trial to run."""
        if not self.has_more:
            return Wait() if self.live or self.ending is not None else Done()
        with self._writing():
            return self._begin()
        return Wait()

    def _begin(self) -> Assignment:
        """Take up an interrupted trial, or open a new one."""
        if self.interrupted:
            trial, checkpoint = self.recorder.resume(self.interrupted.pop(0))
        else:
            self.begun += 1
            trial, checkpoint = self.recorder.open_trial(), None
        params = configuration_of(self.study, trial)
        gpu = sum(one.gpu for one in self.live.values()) < self.gpu_slots
        self.live[trial.number] = LiveTrial(trial, gpu)
        self._reserve(trial)
        self.tell(TrialStarted(trial=trial.number, label=trial.user_attrs.get(LABEL, ""), params=params))
        complete = self.study.complete(params)
        return Assignment(trial=trial.number, hyperparameters=complete, checkpoint=checkpoint, gpu=gpu)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Around all writing and sampling: Tune would take an exception for a fault of the trial.

        Once the disk refuses nothing more is written: `recorder.not_writable` says why, and the run ends.
        """
        recorder = self.recorder
        try:
            with told_as_users("sampler", self.study.sampler.name, self.study.code):
                yield
        except NotWritableError as error:
            recorder.not_writable = error
        except OSError as error:  # of Optuna's journal
            recorder.not_writable = not_writable(recorder.folder.journal, error, JOURNAL_ENTRY)
        if recorder.not_writable is not None:
            self._end(RunEnd.NOT_WRITABLE)

    @property
    def has_more(self) -> bool:
        """Return whether `next` has a trial to give."""
        if self.ending is not None or self.interrupted:
            return self.ending is None
        return not self.suspects and self._may_open

    @property
    def may_have_more(self) -> bool:
        """Return whether `next` has a trial to give, or trials wait at a rung for those that run."""
        return self.has_more or (self.ending is None and bool(self.waiting))

    @property
    def _may_open(self) -> bool:
        """Return whether a new trial may begin: references always."""
        if self.landing is None:
            return self.study.trials_left(self.begun, 0) > 0
        rows = self.recorder.rows()  # reading all trials takes time
        spent = sum(row.epochs_spent for row in rows)
        reference = self.begun < self.study.references_possible
        return self.study.trials_left(self.begun, spent) > 0 and (reference or self.landing.admits(spent, rows))

    def resumed(self, trial: int, epochs: Sequence[Mapping[str, Any]], weights: Weights | None = None) -> Decision:
        """Continue a trial behind these epochs, which its checkpoint holds; `weights` are those of the best one."""
        live = self.live[trial]
        with self._writing():
            self.recorder.keep_weights(trial, epochs, weights)
            self.recorder.follow_checkpoint(live.trial, epochs)
            return self._decide_again(live, len(epochs))
        return Decision.CONTINUE

    def _at_its_end(self, live: LiveTrial, epoch: int) -> bool:
        return epoch >= self.study.max_epochs or self.recorder.out_of_patience(live.trial)

    def epoch(self, trial: int, result: EpochResult) -> Decision:
        """Record an epoch of a trial, and let the pruner and the budget decide whether the trial continues."""
        live, epoch = self.live[trial], int(result.record["epoch"])
        with self._writing():
            again = epoch <= self.recorder.last_epoch(live.trial)
            self.recorder.record_epoch(live.trial, result.record, result.checkpoint)
            self.recorder.keep_weights(trial, [result.record], result.weights)
            return self._decide_again(live, epoch) if again else self._decide(live, epoch)
        return Decision.CONTINUE

    def _decide_again(self, live: LiveTrial, epoch: int) -> Decision:
        """Decide about a trial after an epoch that was decided on before: it went on, unless it was the last one."""
        last = epoch >= self.recorder.last_epoch(live.trial)
        return self._decide(live, epoch, ask=False) if last else Decision.CONTINUE

    def _decide(self, live: LiveTrial, epoch: int, *, ask: bool = True) -> Decision:
        """Decide about a trial after an epoch; a pruner that was asked before is not asked again."""
        last, landing, number = self._at_its_end(live, epoch), self.landing, live.trial.number
        live.waits = not last and landing is not None and landing.waits(number, epoch)
        if not (last or live.waits):
            live.pruned = ask and self.recorder.should_prune(live.trial)
            if landing is not None and not live.pruned:
                live.pruned = not landing.continues(number, self.recorder.epochs_spent)
        return Decision.STOP if last or live.pruned or live.waits else Decision.CONTINUE

    def ended(self, trial: int, outcome: Outcome) -> None:
        """End a trial's attempt: at its last epoch, by a verdict, or by a failure."""
        live = self.live.pop(trial, None)
        failure = outcome.failure
        if live is None or self.recorder.not_writable is not None:
            return
        if failure is not None and failure.worker_died and self.ending is RunEnd.INTERRUPTED:
            return  # what ends us may have ended its worker as well; it goes on from its last epoch
        with self._writing():
            if (failure := failure or self.recorder.without_value(live.trial)) is None:
                self._succeeded(live, outcome.machine)
            elif (again := self._retried(live.trial, failure)) is not None:
                self.interrupted.append(again)
                self._exclude_machine()
            else:
                self._failed(live.trial, failure)
                self._exclude_machine()
            self._release()

    def _close(self, trial: optuna.Trial, state: TrialState) -> None:
        self.recorder.close_trial(trial, state)
        if self.landing is not None:
            self.landing.end(trial.number, complete=state == TrialState.COMPLETE)

    def _release(self) -> None:
        """Let the best of those that wait at a rung go on, once none is on its way there: one of them in any case."""
        landing = self.landing
        if landing is None or self.ending is not None:
            return
        due = landing.due(more=not self.suspects and self._may_open)
        for place, trial in enumerate(self.recorder.best_first([self.waiting.pop(number) for number in due])):
            pruned = place > 0 and self.recorder.should_prune(trial)
            if pruned or not landing.continues(trial.number, self.recorder.epochs_spent):
                self._close(trial, TrialState.PRUNED)
            else:
                self.interrupted.append(self.recorder.trials()[trial.number])

    def interrupt(self) -> None:
        """End the run: no new trials, the running ones stay as their last epoch left them."""
        self._end(RunEnd.INTERRUPTED)

    def begin_anew(self) -> None:
        """End the run, so that another one gives out what runs now, for the machines that are left."""
        self._end(RunEnd.MACHINE_EXCLUDED)

    @property
    def end(self) -> RunEnd | None:
        """The reason to end the run now, or None. What runs then stays as its last epoch left it."""
        if self.ending is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self._end(RunEnd.OUT_OF_TIME)
        return self.ending

    def close_deferred(self) -> None:
        """Close the failed trials: the failures so far are their own."""
        while self.deferred:
            self.recorder.close_failed(*self.deferred.pop(0))

    @property
    def running(self) -> list[LiveTrial]:
        """The trials that are being trained."""
        return list(self.live.values())

    def _succeeded(self, live: LiveTrial, machine: str) -> None:
        self.policy.succeeded(machine)
        if live.waits:
            self.waiting[live.trial.number] = live.trial
        else:
            self._close(live.trial, TrialState.PRUNED if live.pruned else TrialState.COMPLETE)
        self.close_deferred()

    def _retried(self, trial: optuna.Trial, failure: Failure) -> FrozenTrial | None:
        """Note the failure of an attempt; return the trial if it gets another."""
        policy = self.policy
        self.recorder.append_error(trial.number, failure)
        if not policy.retry(trial.number, failure):
            return None
        free, retry = policy.is_free(trial.number, failure), policy.attempts[trial.number]
        return self.recorder.requeue(trial, failure, "" if free else f" (retry {retry} of {policy.retries})")

    def _failed(self, trial: optuna.Trial, failure: Failure) -> None:
        """Close a trial that failed for good, now or once another has ended well."""
        policy = self.policy
        policy.failed(failure)
        if self.landing is not None:
            self.landing.end(trial.number)
        if failure.state == DIVERGED:  # its own doing, whatever the others do
            self.recorder.close_failed(trial, failure)
        else:  # while nothing has ended well the fault may lie in the set-up, and its trials deserve to run again
            self.deferred.append((trial, failure))
        if policy.proven:
            self.close_deferred()
        if policy.common_failure is not None:
            self._end(RunEnd.COMMON_FAILURE)

    def _exclude_machine(self) -> None:
        if self.ending is None and (machine := self.policy.exclude(self.machines())) is not None:
            reason = self.policy.excluded[machine].reason
            self.tell.note(f"{machine} is excluded: two trials failed in a row, the last one `{reason}`")
            self._end(RunEnd.MACHINE_EXCLUDED)

    def _end(self, end: RunEnd) -> None:
        self.ending = self.ending or end
