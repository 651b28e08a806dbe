"""How a study looks while it runs: live on a terminal, a line a trial elsewhere, or silent. Each is a listener."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from hw2tune.events import (
    EpochFinished,
    Event,
    Listeners,
    Noted,
    ReplicationStarted,
    StageStarted,
    StudyStarted,
    TrainingEpochFinished,
    TrainingFinished,
    TrainingStarted,
    TrialFinished,
    TrialRetried,
    TrialStarted,
)
from hw2tune.study.schema import Study
from hw2tune.terminal.board import Board, Goal, Running
from hw2tune.terminal.plan import finished_line, print_plan, replication_line
from hw2tune.terminal.tables import PlainConsole


class Lines:
    """The plan, then one line a finished trial: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = self.total = 0
        self.objective = ""
        self.study: Study | None = None  # whose trials run, None while replicates do

    def __call__(self, event: Event) -> None:
        """Print what an event says."""
        match event:
            case StudyStarted():
                print_plan(event, self.console)
                self.done, self.total, self.objective = event.done, event.total, event.study.objective
                self.study = event.study
            case ReplicationStarted():
                self._print(replication_line(event))
                self.done, self.total, self.objective, self.study = 0, event.total, event.study.objective, None
            case Noted(text=text) | TrialRetried(text=text):
                self._print(text)
            case TrialFinished(row=row) | TrainingFinished(row=row):
                self.done += self.study.done(1, row.epochs_spent) if self.study else 1
                self._print(f"{self.done}/{self.total} {finished_line(row, self.objective)}")

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


class BoardListener:
    """Keep a board: bar with the time left, running trials with epoch and accuracy, the best five."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.board = Board()

    def __call__(self, event: Event) -> None:
        """Puts on the board what an event says, and prints what is for good."""
        board = self.board
        match event:
            case StageStarted(text=text):
                board.stage = text
            case StudyStarted():
                print_plan(event, self.console)
                board.begin(Goal.of_study(event), event.finished)
            case ReplicationStarted():
                self._print(replication_line(event))
                board.begin(Goal.of_replication(event), [])
            case TrialStarted(trial=number) | TrainingStarted(training=number):
                board.running[number] = Running(event.label, dict(event.params))
            case EpochFinished(trial=number, record=record) | TrainingEpochFinished(training=number, record=record):
                board.running[number].epoch_finished(record)
            case Noted(text=text):
                self._print(text)
            case TrialRetried(trial=number, text=text):
                board.running.pop(number, None)
                self._print(text)
            case TrialFinished(row=row) | TrainingFinished(row=row):
                board.running.pop(row.number, None)
                board.finished.append(row)

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


class LiveDisplay(BoardListener):
    """The board on a terminal, below everything that is printed."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.live = Live(self.board, console=console, refresh_per_second=4, transient=True)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Listeners]:
    """Listeners with the one that suits stderr, for the length of a `with`."""
    console = PlainConsole(stderr=True, highlight=False, markup=False, force_terminal=sys.stderr.isatty())
    if quiet:
        yield Listeners()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield Listeners([Lines(console)])
    else:
        display = LiveDisplay(console)
        with display.live:
            yield Listeners([display])
