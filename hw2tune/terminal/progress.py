"""How a study looks while it runs: live on a terminal, a line a trial elsewhere, or silent."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from hw2tune.events import Observer, Plan
from hw2tune.execution.resources import Room
from hw2tune.records.trials.rows import TrialRow
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.terminal.board import Board, Goal, Running
from hw2tune.terminal.lines import finished_line
from hw2tune.terminal.plan import print_plan, replicating_line


class Lines(Observer):
    """The plan, then one line a finished trial: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = self.total = 0
        self.objective = ""

    def planned(self, plan: Plan) -> None:
        print_plan(plan, self.console)
        self.done, self.total, self.objective = len(plan.finished), plan.total, plan.study.objective

    def replicating(self, study: Study, *, total: int, cached: int, room: Room) -> None:
        self.console.print(replicating_line(study, total=total, cached=cached, room=room), soft_wrap=True)
        self.done, self.total, self.objective = 0, total, study.objective

    def note(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def trial_retried(self, number: int, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def trial_finished(self, row: TrialRow) -> None:
        self.done += 1
        self.console.print(f"{self.done}/{self.total} {finished_line(row, self.objective)}", soft_wrap=True)


class LiveDisplay(Observer):
    """One live display: bar with the time left, running trials with epoch and accuracy, the best five."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.board = Board()
        self.live = Live(self.board, console=console, refresh_per_second=4, transient=True)

    def stage(self, text: str) -> None:
        self.board.stage = text

    def planned(self, plan: Plan) -> None:
        print_plan(plan, self.console)
        goal = Goal(
            noun="trials", total=plan.total, before=len(plan.finished), concurrency=plan.room.concurrency,
            study=plan.study,
        )  # fmt: skip
        self._begin(goal, list(plan.finished))

    def replicating(self, study: Study, *, total: int, cached: int, room: Room) -> None:
        self.console.print(replicating_line(study, total=total, cached=cached, room=room), soft_wrap=True)
        goal = Goal(noun="trainings", total=total, before=0, concurrency=room.concurrency, study=study)
        self._begin(goal, [])

    def _begin(self, goal: Goal, finished: list[TrialRow]) -> None:
        self.board.goal, self.board.finished, self.board.started = goal, finished, time.monotonic()
        self.board.stage = f"starting the first {goal.noun}"

    def trial_started(self, number: int, label: str, params: dict[str, Value]) -> None:
        self.board.running[number] = Running(label, params)

    def epoch_finished(self, number: int, epoch: int, accuracy: float, images_per_second: float) -> None:
        trial = self.board.running[number]
        trial.epoch, trial.accuracy, trial.images_per_second = epoch, accuracy, images_per_second

    def note(self, text: str) -> None:
        self.live.console.print(text, soft_wrap=True)

    def trial_retried(self, number: int, text: str) -> None:
        self.board.running.pop(number, None)
        self.note(text)

    def trial_finished(self, row: TrialRow) -> None:
        self.board.running.pop(row.number, None)
        self.board.finished.append(row)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Observer]:
    """The observer that suits stderr, for the length of a `with`."""
    console = Console(stderr=True, highlight=False, markup=False, force_terminal=sys.stderr.isatty())
    if quiet:
        yield Observer()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        display = LiveDisplay(console)
        with display.live:
            yield display
