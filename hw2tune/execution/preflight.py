"""What can be known before a search is said before it: the same by `check` and in the first second of `study`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from hw2tune.execution.machine import grant_note
from hw2tune.paths import refuse_unwritable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import TrialRow
from hw2tune.study.models import MODELS
from hw2tune.study.schema import Study

CHECKPOINT_OVERHEAD = 30_000  # bytes beside the numbers: names, generators, the epochs so far
COPIES = 3  # of each weight in a checkpoint: itself, and Adam's two moments


def preflight(study: Study, folder: StudyFolder, rows: list[TrialRow], *, fresh: bool = False) -> list[str]:
    """Notes for the user. Raises PathError where study or report could not be written.

    `rows` are the trials there.
    """
    refuse_unwritable(folder.root, "results")
    refuse_unwritable(folder.root / "report", "report")
    if fresh and folder.root.exists():
        refuse_unwritable(folder.root.parent / "set-aside", "--fresh")
    return [*_of_study(study), *_of_machine(study, folder, [] if fresh else rows)]


def _of_study(study: Study) -> Iterator[str]:
    if study.trials_possible < study.trials:
        yield (
            f"the space holds {study.search_space.size()} configurations, and none is trained twice: the study is "
            f"complete after {study.trials_possible} trials, not {study.trials}"
        )
    if study.pruner.name != "none" and study.pruner.min_epochs >= study.max_epochs:
        yield (
            f"the pruner stops no trial: it first looks at epoch {study.pruner.min_epochs} of {study.max_epochs}; "
            "lower pruner.min_epochs"
        )


def _of_machine(study: Study, folder: StudyFolder, rows: list[TrialRow]) -> Iterator[str]:
    if (note := grant_note()) is not None:
        yield note
    left = max(0, study.trials_possible - len(rows))
    wanted = left * trial_bytes(study)
    place = next(part for part in (folder.root.absolute(), *folder.root.absolute().parents) if part.exists())
    free = shutil.disk_usage(place).free
    if wanted > free:
        yield (
            f"{place}: {free / 1e6:.1f} MB are free, and {left} trials take about {wanted / 1e6:.1f} MB; the study "
            "will end in order when the disk is full, and go on when there is room"
        )


def trial_bytes(study: Study) -> int:
    """About what a trial keeps on disk: its last and its best checkpoint."""
    return 2 * (4 * COPIES * MODELS[study.model].parameters + CHECKPOINT_OVERHEAD)
