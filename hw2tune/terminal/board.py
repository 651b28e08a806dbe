"""The board of the live display: what stands on it, and how it looks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hw2tune.events import ReplicationStarted, StudyStarted
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.terminal.plan import trial_name, value_of
from hw2tune.text.numbers import configuration_line, duration

SHOWN_BEST = 5
SHOWN_RUNNING = 16  # more would push the bar off a terminal of 24 lines


@dataclass
class Running:
    """A trial or training under way."""

    label: str
    params: dict[str, Value]
    epoch: int = 0
    accuracy: float | None = None
    images_per_second: float = 0.0

    def epoch_finished(self, record: Mapping[str, Any]) -> None:
        """Show an epoch's record: its validation accuracy, or training's where nothing was held out."""
        self.epoch = int(record["epoch"])
        self.accuracy = record.get("validation_accuracy", record.get("train_accuracy"))
        self.images_per_second = float(record.get("images_per_second", 0.0))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is to be done: `total` trials, epochs or trainings, `before` of them done when it began."""

    noun: str
    total: int
    before: int
    concurrency: int
    study: Study

    @classmethod
    def of_study(cls, plan: StudyStarted) -> Goal:
        """The trials of a study."""
        study, concurrency = plan.study, plan.capacity.concurrency
        return cls(noun=study.extent[1], total=plan.total, before=plan.done, concurrency=concurrency, study=study)

    @classmethod
    def of_replication(cls, plan: ReplicationStarted) -> Goal:
        """The trainings of replicates."""
        concurrency = plan.capacity.same_device
        return cls(noun="trainings", total=plan.total, before=0, concurrency=concurrency, study=plan.study)


@dataclass
class Board:
    """What the live display shows; rich asks it for a picture several times a second."""

    stage: str = ""
    goal: Goal | None = None
    started: float = field(default_factory=time.monotonic)
    running: dict[int, Running] = field(default_factory=dict)
    finished: list[TrialRow] = field(default_factory=list)
    spinner: Spinner = field(default_factory=lambda: Spinner("line"))

    @property
    def done(self) -> int:
        """What is done of the goal."""
        if self.goal is None or self.goal.noun != "epochs":
            return len(self.finished)
        return sum(row.epochs_spent for row in self.finished)

    def begin(self, goal: Goal, finished: Sequence[TrialRow]) -> None:
        """Starts on a goal; `finished` was there."""
        self.goal, self.finished, self.started = goal, list(finished), time.monotonic()
        self.stage = f"starting the first {'trials' if goal.noun == 'epochs' else goal.noun}"

    def __rich__(self) -> Group:
        if self.goal is None or not (self.running or self.finished):
            return Group(self._stage())
        parts = [self._bar(self.goal), self._trials(self.goal)]
        return Group(*parts) if self.running else Group(*parts, self._stage())

    def _stage(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self.spinner, self.stage)
        return grid

    def _bar(self, goal: Goal) -> Table:
        done = self.done
        best = best_first(self.finished, goal.study.direction)
        parts = [f"{done}/{goal.total} {goal.noun}"]
        if best and goal.noun != "trainings":
            parts.append(f"best {value_of(best[0].value, goal.study.objective)} (#{best[0].number})")
        left = self._seconds_left(goal)
        parts.append(f"{duration(left)} left" if left is not None else f"{duration(self._elapsed())} so far")
        grid = Table.grid(padding=(0, 2))
        # Epochs of running trials count too, so that the bar moves while the first trials train.
        under_way = float(sum(trial.epoch for trial in list(self.running.values())))
        under_way /= 1 if goal.noun == "epochs" else goal.study.max_epochs
        grid.add_row(ProgressBar(total=goal.total, completed=done + 0.99 * under_way, width=20), ", ".join(parts))
        return grid

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _seconds_left(self, goal: Goal) -> float | None:
        """From the trials that this run finished; None before two a slot or half of them are: it would be a guess."""
        here, each = self.done - goal.before, goal.study.max_epochs if goal.noun == "epochs" else 1
        if here < max(1, min(2 * goal.concurrency * each, (goal.total - goal.before) // 2)):
            return None
        return self._elapsed() / here * max(0, goal.total - self.done)

    def _trials(self, goal: Goal) -> Table:
        objective, epochs = goal.study.objective, goal.study.max_epochs
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
                configuration_line(trial.params) + speed,
            )  # fmt: skip
        more = len(self.running) - SHOWN_RUNNING
        if more > 0:
            table.add_row("", f"{more} more run", "", "")
        for row in best_first(self.finished, goal.study.direction)[:SHOWN_BEST]:
            cells = (trial_name(row.number, row.label), row.state_text, value_of(row.value, objective))
            table.add_row(*(Text(cell, style="dim") for cell in (*cells, configuration_line(row.params))))
        return table
