"""How a study looks while it runs: live on a terminal, a line a trial elsewhere, or silent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hw2tune.records.trials import TrialRow, best_first
from hw2tune.study.hyperparameters import Value
from hw2tune.terminal.plan import print_plan
from hw2tune.terminal.words import configuration, duration, finished_line, objective_value, trial_name
from hw2tune.tune.observer import Observer, Plan

SHOWN_BEST = 5
SHOWN_RUNNING = 16  # more would push the bar off a terminal of 24 lines


class Lines(Observer):
    """The plan, then one line a finished trial: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = self.total = 0
        self.objective = ""

    def planned(self, plan: Plan) -> None:
        print_plan(plan, self.console)
        self.done, self.total, self.objective = len(plan.finished), plan.study.trials, plan.study.objective

    def trial_finished(self, row: TrialRow) -> None:
        self.done += 1
        self.console.print(f"{self.done}/{self.total} {finished_line(row, self.objective)}", soft_wrap=True)


@dataclass
class _Running:
    label: str
    params: dict[str, Value]
    epoch: int = 0
    accuracy: float | None = None
    images_per_second: float = 0.0


@dataclass
class _Board:
    """What the live display shows; rich asks it for a picture several times a second."""

    stage: str = ""
    plan: Plan | None = None
    started: float = field(default_factory=time.monotonic)
    running: dict[int, _Running] = field(default_factory=dict)
    finished: list[TrialRow] = field(default_factory=list)
    spinner: Spinner = field(default_factory=lambda: Spinner("line"))

    def __rich__(self) -> Group:
        if self.plan is None or not (self.running or self.finished):
            return Group(Table.grid(padding=(0, 1)), self._stage())
        return Group(self._bar(self.plan), self._trials(self.plan))

    def _stage(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self.spinner, self.stage)
        return grid

    def _bar(self, plan: Plan) -> Table:
        done = len(self.finished)
        best = best_first(self.finished, plan.study.direction)
        words = [f"{done}/{plan.study.trials} trials"]
        if best:
            words.append(f"best {objective_value(best[0].value, plan.study.objective)} (#{best[0].number})")
        left = self._seconds_left(plan)
        words.append(f"{duration(left)} left" if left is not None else f"{duration(self._elapsed())} so far")
        grid = Table.grid(padding=(0, 2))
        # Epochs of running trials count too, so that the bar moves while the first trials train.
        under_way = sum(trial.epoch for trial in list(self.running.values())) / plan.study.max_epochs
        grid.add_row(
            ProgressBar(total=plan.study.trials, completed=done + 0.99 * under_way, width=20), ", ".join(words)
        )
        return grid

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _seconds_left(self, plan: Plan) -> float | None:
        """From the trials that this run finished; None before it has two a slot, when it would be a guess."""
        here = len(self.finished) - len(plan.finished)
        if here < min(2 * plan.room.concurrency, plan.study.trials):
            return None
        return self._elapsed() / here * (plan.study.trials - len(self.finished))

    def _trials(self, plan: Plan) -> Table:
        objective, epochs = plan.study.objective, plan.study.max_epochs
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        # On a narrow terminal only the last column gives way.
        table.add_column(no_wrap=True, min_width=len("#10 baseline"))
        table.add_column(no_wrap=True, min_width=len("pruned at epoch 10"))
        table.add_column(no_wrap=True, min_width=len("99.99 %"), justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for number, trial in list(self.running.items())[:SHOWN_RUNNING]:
            accuracy = "" if trial.accuracy is None else f"{100 * trial.accuracy:.2f} %"
            speed = f"  {trial.images_per_second:,.0f} images/s" if trial.images_per_second else ""
            table.add_row(
                trial_name(number, trial.label), f"epoch {trial.epoch}/{epochs}", accuracy,
                configuration(trial.params) + speed,
            )  # fmt: skip
        more = len(self.running) - SHOWN_RUNNING
        if more > 0:
            table.add_row("", f"{more} more run", "", "")
        for row in best_first(self.finished, plan.study.direction)[:SHOWN_BEST]:
            cells = (trial_name(row.number, row.label), row.state_text, objective_value(row.value, objective))
            table.add_row(*(Text(cell, style="dim") for cell in (*cells, configuration(row.params))))
        return table


class LiveDisplay(Observer):
    """One live display: bar with the time left, running trials with epoch and accuracy, the best five."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.board = _Board()
        self.live = Live(self.board, console=console, refresh_per_second=4, transient=True)

    def stage(self, text: str) -> None:
        self.board.stage = text

    def planned(self, plan: Plan) -> None:
        print_plan(plan, self.console)
        self.board.plan, self.board.started = plan, time.monotonic()
        self.board.finished = list(plan.finished)
        self.board.stage = "starting the first trials"

    def trial_started(self, number: int, label: str, params: dict[str, Value]) -> None:
        self.board.running[number] = _Running(label, params)

    def epoch_finished(self, number: int, epoch: int, accuracy: float, images_per_second: float) -> None:
        trial = self.board.running[number]
        trial.epoch, trial.accuracy, trial.images_per_second = epoch, accuracy, images_per_second

    def trial_finished(self, row: TrialRow) -> None:
        self.board.running.pop(row.number, None)
        self.board.finished.append(row)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Observer]:
    """The observer that suits stderr, for the length of a `with`."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield Observer()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        display = LiveDisplay(console)
        with display.live:
            yield display
