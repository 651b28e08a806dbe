"""What a study tells while it runs. The terminal listens; a test may too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hw2tune.records.trials.rows import TrialRow
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study

if TYPE_CHECKING:
    from hw2tune.execution.resources import Room


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to run, and on what."""

    study: Study
    finished: list[TrialRow]  # there already
    resumed: dict[int, int]  # interrupted trials that are taken up: number to the epochs they have
    room: Room
    dataset: str
    dataset_checksum: str
    sizes: dict[str, int]  # images by split
    folder: str

    @property
    def left(self) -> int:
        """New trials to run."""
        return max(0, self.study.trials_possible - len(self.finished) - len(self.resumed))

    @property
    def total(self) -> int:
        """All trials of the study when it is over."""
        return len(self.finished) + len(self.resumed) + self.left


class Observer:
    """Hears of a study's progress, in order, from the driver's main thread. This one says nothing."""

    def stage(self, text: str) -> None:
        """Something that takes seconds begins, such as starting Ray."""

    def note(self, text: str) -> None:
        """Something that the user should know of and need not act on, in one line."""

    def planned(self, plan: Plan) -> None:
        """The study is about to run."""

    def replicating(self, study: Study, *, total: int, cached: int, room: Room) -> None:
        """`total` trainings begin, beside `cached` ones that were there; each is told like a trial."""

    def trial_started(self, number: int, label: str, params: dict[str, Value]) -> None:
        """A trial got a slot, or soon will."""

    def epoch_finished(self, number: int, epoch: int, accuracy: float, images_per_second: float) -> None:
        """A trial ended an epoch with this validation accuracy."""

    def trial_retried(self, number: int, text: str) -> None:
        """A trial's attempt failed, as `text` says; another follows."""

    def trial_finished(self, row: TrialRow) -> None:
        """A trial ended, whichever way."""
