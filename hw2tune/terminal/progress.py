"""Displays of a running study: live on a terminal, a line per trial elsewhere, or silent. Each is a listener."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

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
    TrainingStopped,
    TrialFinished,
    TrialRetried,
    TrialStarted,
)
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.study.schema import Study
from hw2tune.terminal.formats import PlainConsole
from hw2tune.terminal.plan import finished_line, print_plan, replication_line, trial_name, value_of
from hw2tune.text.numbers import configuration_line, duration

SHOWN_BEST = 5
SHOWN_RUNNING = 16  # more would push the bar off a terminal of 24 lines
SILENCE = 60.0  # seconds after which a log says what is running; its readers cannot tell a long epoch from a stall
NAMED_RUNNING = 4  # in that line


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The `total` trials, epochs or trainings of a run, `before` of them done when it began."""

    noun: str
    total: int
    before: int
    concurrency: int
    study: Study


@dataclass
class Board:
    """The content of the live display; rich asks it for a picture several times a second."""

    stage: str = ""
    goal: Goal | None = None
    started: float = field(default_factory=time.monotonic)
    running: dict[int, TrialStarted | TrainingStarted] = field(default_factory=dict)
    records: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # of the last epochs of running trials
    finished: list[TrialRow] = field(default_factory=list)
    spinner: Spinner = field(default_factory=lambda: Spinner("line"))

    @property
    def done(self) -> int:
        """The part of the goal that is done."""
        if self.goal is None or self.goal.noun != "epochs":
            return len(self.finished)
        return sum(row.epochs_spent for row in self.finished)

    @property
    def count(self) -> str:
        """`3/12`; a race may train more than it may take, in idle slots."""
        return "" if self.goal is None else f"{self.done}/{max(self.done, self.goal.total)}"

    def begin(self, goal: Goal, finished: Sequence[TrialRow]) -> None:
        """Start on a goal; what is `finished` was there."""
        self.goal, self.finished, self.started = goal, list(finished), time.monotonic()
        self.stage = f"starting the first {'trials' if goal.noun == 'epochs' else goal.noun}"

    def __rich__(self) -> Group:
        stage = Table.grid(padding=(0, 1))
        stage.add_row(self.spinner, self.stage)
        if self.goal is None or not (self.running or self.finished):
            return Group(stage)
        parts = [self._bar(self.goal), self._trials(self.goal)]
        return Group(*parts) if self.running else Group(*parts, stage)

    def _bar(self, goal: Goal) -> Table:
        done = self.done
        best = best_first(self.finished, goal.study.direction)
        parts = [f"{self.count} {goal.noun}"]
        if best and goal.noun != "trainings":
            parts.append(f"best {value_of(best[0].value, goal.study.objective)} (#{best[0].number})")
        left, elapsed = self._seconds_left(goal), time.monotonic() - self.started
        parts.append(f"{duration(left)} left" if left is not None else f"{duration(elapsed)} so far")
        grid = Table.grid(padding=(0, 2))
        # Epochs of running trials count too, so that the bar moves while the first trials train.
        under_way = sum(record["epoch"] for record in list(self.records.values()))
        under_way /= 1 if goal.noun == "epochs" else goal.study.max_epochs
        grid.add_row(ProgressBar(total=goal.total, completed=done + 0.99 * under_way, width=20), ", ".join(parts))
        return grid

    def _seconds_left(self, goal: Goal) -> float | None:
        """From the trials that this run finished; None before two a slot or half of them are: it would be a guess."""
        here, each = self.done - goal.before, goal.study.max_epochs if goal.noun == "epochs" else 1
        if here < max(1, min(2 * goal.concurrency * each, (goal.total - goal.before) // 2)):
            return None
        return (time.monotonic() - self.started) / here * max(0, goal.total - self.done)

    def _trials(self, goal: Goal) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        # On a narrow terminal only the last column gives way.
        table.add_column(no_wrap=True, min_width=len("#10 baseline"))
        table.add_column(no_wrap=True, min_width=len("pruned at epoch 10"))
        table.add_column(no_wrap=True, min_width=len("99.99 %"), justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for number, trial in list(self.running.items())[:SHOWN_RUNNING]:
            record = self.records.get(number, {})
            speed = float(record.get("images_per_second", 0.0))
            table.add_row(
                trial_name(number, trial.label), f"epoch {record.get('epoch', 0)}/{goal.study.max_epochs}",
                _accuracy(record), configuration_line(trial.params) + (f"  {speed:,.0f} images/s" if speed else ""),
            )  # fmt: skip
        more = len(self.running) - SHOWN_RUNNING
        if more > 0:
            table.add_row("", f"{more} more run", "", "")
        for row in best_first(self.finished, goal.study.direction)[:SHOWN_BEST]:
            cells = (trial_name(row.number, row.label), row.state_text, value_of(row.value, goal.study.objective))
            table.add_row(*(Text(cell, style="dim") for cell in (*cells, configuration_line(row.params))))
        return table

    @property
    def under_way(self) -> str:
        """`0/50; #0 baseline epoch 3/35 55.12 %, #1 l2 epoch 2/35 48.20 %`."""
        assert self.goal is not None
        running = [
            f"{trial_name(number, self.running[number].label)} epoch {record['epoch']}/{self.goal.study.max_epochs} "
            + _accuracy(record)
            for number, record in self.records.items()
            if number in self.running
        ]
        more = [f"{len(running) - NAMED_RUNNING} more"] if len(running) > NAMED_RUNNING else []
        return f"{self.count}; " + ", ".join([*running[:NAMED_RUNNING], *more])


def _accuracy(record: Mapping[str, Any]) -> str:
    accuracy = record.get("validation_accuracy", record.get("train_accuracy"))  # where nothing was held out
    return "" if accuracy is None else f"{100 * accuracy:.2f} %"


class Display:
    """Keep a board: bar with the time left, running trials with epoch and accuracy, the best five; print the rest."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.board = Board()

    def __call__(self, event: Event) -> None:
        """Put on the board what an event says, and print what stays."""
        board = self.board
        match event:
            case StageStarted(text=text):
                board.stage = text
            case StudyStarted(study=study, capacity=capacity, done=done):
                print_plan(event, self.console)
                noun = study.extent[1]
                goal = Goal(noun=noun, total=event.total, before=done, concurrency=capacity.concurrency, study=study)
                board.begin(goal, event.finished)
            case ReplicationStarted(study=study, capacity=capacity, total=total, done=done):
                self.print(replication_line(event))
                goal = Goal(noun="trainings", total=total, before=done, concurrency=capacity.same_device, study=study)
                board.begin(goal, board.finished if done else [])
            case TrialStarted(trial=number) | TrainingStarted(training=number):
                board.records.pop(number, None)
                board.running[number] = event
            case EpochFinished(trial=number, record=record) | TrainingEpochFinished(training=number, record=record):
                board.records[number] = record
            case Noted(text=text):
                self.print(text)
            case TrialRetried(trial=number, text=text) | TrainingStopped(training=number, text=text):
                self._ended(number)
                if text:
                    self.print(text)
            case TrialFinished(row=row) | TrainingFinished(row=row):
                self._ended(row.number)
                board.finished.append(row)

    def print(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, soft_wrap=True)

    def _ended(self, number: int) -> None:
        self.board.running.pop(number, None)
        self.board.records.pop(number, None)


class Lines(Display):
    """The plan, then one line per finished trial, and one a minute in between: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.printed = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Print what an event says."""
        super().__call__(event)
        match event, self.board.goal:
            case _, None:
                pass
            case TrialFinished(row=row) | TrainingFinished(row=row), goal:
                self.print(f"{self.board.count} {finished_line(row, goal.study.objective)}")
            case EpochFinished() | TrainingEpochFinished(), _ if time.monotonic() - self.printed > SILENCE:
                self.print(self.board.under_way)

    def print(self, text: str) -> None:
        """Print a line that stays."""
        super().print(text)
        self.printed = time.monotonic()


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Listeners]:
    """Yield listeners with the display that suits stderr, for the length of a `with`."""
    console = PlainConsole(stderr=True, highlight=False, markup=False, force_terminal=sys.stderr.isatty())
    if quiet:
        yield Listeners()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield Listeners([Lines(console)])
    else:
        display = Display(console)
        with Live(display.board, console=console, refresh_per_second=4, transient=True):
            yield Listeners([display])
