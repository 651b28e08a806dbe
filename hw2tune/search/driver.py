"""The next step of a study, without the place where it is carried out: no Ray here.

Whatever runs trials asks `next` for one, hands each epoch to `epoch` and each end to `ended`, and stops where `end`
says why. Ray Tune does so through the adapters of `execution.tune`; tests and benchmarks do so themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import NotWritableError
from hw2tune.events import Listeners, TrialStarted
from hw2tune.records.atomic import not_writable
from hw2tune.records.trials.rows import LABEL, configuration_of
from hw2tune.records.trials.states import DIVERGED
from hw2tune.search.algorithms import told_as_users
from hw2tune.search.failures import Failure, FailurePolicy
from hw2tune.search.recorder import FINISHED, Recorder
from hw2tune.study.hyperparameters import Value

JOURNAL_ENTRY = 300  # bytes, about


class RunEnd(Enum):
    """The reason for the end of a run of trials."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out of time"
    NOT_WRITABLE = "not writable"  # the disk refuses; the recorder says how
    COMMON_FAILURE = "common failure"  # the first trials all failed in the same way
    MACHINE_EXCLUDED = "machine excluded"  # another run begins without it


class Decision(Enum):
    """The decision about a trial after an epoch."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A trial to be run; with `checkpoint` it goes on from there."""

    trial: int
    hyperparameters: dict[str, Value]
    checkpoint: bytes | None
    gpu: bool


@dataclass(frozen=True)
class Wait:
    """Nothing to give out now: a trial that runs may yet have to be run again."""


@dataclass(frozen=True)
class Done:
    """Nothing more to give out."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """An epoch of a trial. `record` is its line in `result.json`: `epoch`, losses, accuracies, seconds."""

    record: Mapping[str, Any]
    checkpoint: bytes


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


@dataclass
class StudyDriver:
    """The trials of one run. Interrupted ones are given out first, then new ones until the study holds its number."""

    recorder: Recorder
    policy: FailurePolicy
    tell: Listeners
    gpu_slots: int = 0
    machines: Callable[[], list[str]] = list  # addresses of those that run now
    deadline: float | None = None  # a time of `time.monotonic`
    suspects: bool = False  # only interrupted trials are given out
    live: dict[int, LiveTrial] = field(default_factory=dict)  # by number
    deferred: list[tuple[optuna.Trial, Failure]] = field(default_factory=list)  # failed before any trial ended well
    ending: RunEnd | None = None

    def __post_init__(self) -> None:
        self.study = self.recorder.study
        self.interrupted = self.recorder.trials(TrialState.RUNNING)
        self.begun = len(self.recorder.trials(*FINISHED)) + len(self.interrupted)

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
    def _may_open(self) -> bool:
        """Return whether the study has a new trial left."""
        return self.study.trials_left(self.begun, self._epochs_spent) > 0

    @property
    def _epochs_spent(self) -> int:
        return 0 if self.study.budget is None else self.recorder.epochs_spent  # reading all trials takes time

    def resumed(self, trial: int, epochs: Sequence[Mapping[str, Any]]) -> Decision:
        """Continue a trial behind these epochs, which its checkpoint holds."""
        live = self.live[trial]
        with self._writing():
            self.recorder.follow_checkpoint(live.trial, epochs)
        return Decision.STOP if self._at_its_end(live, len(epochs)) else Decision.CONTINUE

    def _at_its_end(self, live: LiveTrial, epoch: int) -> bool:
        return epoch >= self.study.max_epochs or self.recorder.out_of_patience(live.trial)

    def epoch(self, trial: int, result: EpochResult) -> Decision:
        """Record an epoch of a trial, and decide whether the trial continues."""
        live = self.live[trial]
        with self._writing():
            self.recorder.record_epoch(live.trial, result.record, result.checkpoint)
            return self._decide(live, int(result.record["epoch"]))
        return Decision.CONTINUE

    def _decide(self, live: LiveTrial, epoch: int) -> Decision:
        """Ask the pruner after an epoch; if the budget is spent running trials end where they are, but references."""
        budget, last = self.study.budget_epochs, self._at_its_end(live, epoch)
        spent = budget is not None and self._epochs_spent >= budget
        live.pruned = self.recorder.should_prune(live.trial, spent=spent) and not last
        return Decision.STOP if last or live.pruned else Decision.CONTINUE

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

    def interrupt(self) -> None:
        """End the run: no new trials, the running ones stay as their last epoch left them."""
        self._end(RunEnd.INTERRUPTED)

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
        self.recorder.close_trial(live.trial, TrialState.PRUNED if live.pruned else TrialState.COMPLETE)
        self.close_deferred()

    def _retried(self, trial: optuna.Trial, failure: Failure) -> FrozenTrial | None:
        """Note the failure of an attempt; return the trial if it gets another."""
        policy = self.policy
        self.recorder.append_error(trial.number, failure)
        if not policy.retry(trial.number, failure):
            return None
        return self.recorder.requeue(trial, failure, policy.attempts[trial.number], policy.retries)

    def _failed(self, trial: optuna.Trial, failure: Failure) -> None:
        """Close a trial that failed for good, now or once another has ended well."""
        policy = self.policy
        policy.failed(failure)
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
