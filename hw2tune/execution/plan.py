"""The plan of a run, from what is there and what fits."""

from __future__ import annotations

from collections.abc import Sequence

from hw2tune.data.dataset import Dataset
from hw2tune.events import StudyStarted
from hw2tune.execution.resources import Capacity
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import INTERRUPTED, RUNNING, WAITING
from hw2tune.study.schema import Study


def make_plan(
    study: Study, folder: StudyFolder, rows: Sequence[TrialRow], *, data: Dataset, capacity: Capacity
) -> StudyStarted:
    """What is about to run. `rows` are the trials there."""
    resumed = [row.number for row in rows if row.state in (RUNNING, INTERRUPTED)]
    return StudyStarted(
        study=study,
        finished=[row for row in rows if row.state not in (RUNNING, INTERRUPTED, WAITING)],
        resumed={number: len(read_epochs(folder.trial(number))) for number in resumed},
        capacity=capacity,
        dataset=data.label,
        dataset_checksum=data.checksum,
        sizes={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        folder=str(folder.root),
    )
