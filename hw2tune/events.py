"""Events of a run and their listeners: each event a frozen dataclass, each listener a function of one event.

The terminal's display is a listener, and `run_study(..., listeners=[...])` takes others. Events come in order, from one
thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hw2tune.errors import Hw2tuneError
from hw2tune.text.plain import without_secrets

if TYPE_CHECKING:
    from hw2tune.records.trials.rows import TrialRow
    from hw2tune.resources import Capacity
    from hw2tune.study.hyperparameters import Value
    from hw2tune.study.schema import Study


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """Something that takes seconds begins, such as starting Ray."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something that the user should know of and need not act on, in one line."""

    text: str


@dataclass(frozen=True, kw_only=True)
class StudyStarted(Event):
    """A study is about to run."""

    study: Study
    finished: list[TrialRow]  # there already
    resumed: dict[int, int]  # interrupted trials that go on: number to the epoch of the checkpoint
    capacity: Capacity
    dataset: str
    dataset_checksum: str
    sizes: dict[str, int]  # images by split
    folder: str

    @property
    def left(self) -> int:
        """New trials to run."""
        return self.study.trials_left(len(self.finished) + len(self.resumed), self.epochs)

    @property
    def epochs(self) -> int:
        """Epochs that all trials so far have spent."""
        return sum(row.epochs_spent for row in self.finished) + sum(self.resumed.values())

    @property
    def done(self) -> int:
        """The part of `total` that is done."""
        return self.study.done(len(self.finished), sum(row.epochs_spent for row in self.finished))

    @property
    def references_left(self) -> int:
        """Trials of references among those to run: they are never pruned."""
        return max(0, len(self.study.references) - sum(bool(row.label) for row in self.finished))

    @property
    def total(self) -> int:
        """All trials of the study when it is over; with a budget all epochs."""
        if self.study.budget_epochs is not None:
            return self.study.budget_epochs
        return len(self.finished) + len(self.resumed) + self.left


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """A trial got a slot, or soon will. It starts again where an attempt before failed."""

    trial: int
    label: str  # of a reference; empty for what the sampler chose
    params: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class EpochFinished(Event):
    """A trial ended an epoch. `record` is its line in `result.json`: losses, accuracies, seconds."""

    trial: int
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialRetried(Event):
    """A trial's attempt failed, as `text` says; another follows."""

    trial: int
    text: str


@dataclass(frozen=True, kw_only=True)
class TrialFinished(Event):
    """A trial ended, whichever way."""

    row: TrialRow


@dataclass(frozen=True, kw_only=True)
class StudyFinished(Event):
    """A run of the study is over. `end` says why: complete, interrupted, out of time, ..."""

    folder: str
    end: str
    rows: Sequence[TrialRow]  # all trials


@dataclass(frozen=True, kw_only=True)
class ReplicationStarted(Event):
    """Trainings begin, beside `cached` ones that were there: of `total` trainings of this run, `done` are finished.

    `claims` is `n = 7, open: l2 against baseline` if seeds are added until claims are decided, and else empty. In a
    race of so many trials, `race`, `total` is what it may take, and it may train a few more in idle slots.
    """

    study: Study
    total: int
    cached: int
    capacity: Capacity
    folder: str
    claims: str = ""
    done: int = 0
    race: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(Event):
    """A training of a replicate got a slot. `training` is its number in this run, `label` for people.

    It starts again where its worker was lost before.
    """

    training: int
    label: str
    params: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class TrainingEpochFinished(Event):
    """A replicate's training ended an epoch. `record` as in EpochFinished."""

    training: int
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingStopped(Event):
    """A replicate's training ended without a result: lost, as `text` says, or of no use to its race any more."""

    training: int
    text: str


@dataclass(frozen=True, kw_only=True)
class TrainingFinished(Event):
    """A replicate's training ended and is on disk; the row has the training's number and label."""

    row: TrialRow


@dataclass(frozen=True, kw_only=True)
class ReplicationFinished(Event):
    """The replicates of a study are trained, tested and on disk."""

    folder: str


@dataclass(frozen=True, kw_only=True)
class ReportWritten(Event):
    """The report of these studies' folders stands in `target`."""

    folders: Sequence[str]
    target: str


Listener = Callable[[Event], None]


class Listeners:
    """Send each listener every event. One that fails is named and gets no more: it must not end a study.

    What it raises as an Hw2tuneError is said in its own words.
    """

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self.listeners = list(listeners)

    def __call__(self, event: Event) -> None:
        for listener in list(self.listeners):
            try:
                listener(event)
            except Hw2tuneError as error:
                self.listeners.remove(listener)
                self.note(str(error))
            except Exception as error:  # the caller's listener may raise anything, and must not end a study
                self.listeners.remove(listener)
                name = getattr(listener, "__qualname__", type(listener).__qualname__)
                self.note(f"listener {name} failed and is omitted: {type(error).__name__}: {error}")

    def note(self, text: str) -> None:
        """Tell a line."""
        self(Noted(text=without_secrets(text)))

    def stage(self, text: str) -> None:
        """Tell that something begins that takes seconds."""
        self(StageStarted(text=without_secrets(text)))
