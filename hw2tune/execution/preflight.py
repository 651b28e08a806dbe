"""The look ahead of a search: notes, refusals and the plan, the same in `check` and in the first second of `study`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from hw2tune.data.dataset import Dataset
from hw2tune.data.decoding import cached_files
from hw2tune.errors import ResourceError
from hw2tune.events import StudyStarted
from hw2tune.execution.machine import machine_notes
from hw2tune.paths import cache_dir, refuse_unwritable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.leftovers import DECODED, leftover
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import INTERRUPTED, RUNNING, WAITING
from hw2tune.resources import Capacity
from hw2tune.search.pruners import build_pruner
from hw2tune.search.samplers import build_sampler
from hw2tune.study.schema import Study

CHECKPOINT_OVERHEAD = 30_000  # bytes beside the numbers: names, generators, the epochs so far
MUCH_DECODED = 1e9  # bytes
OBJECT_STORE_SHARE = 0.3  # of the memory: what Ray 2.60 takes for its object store
SHARED_MEMORY = Path("/dev/shm")
COPIES = 3  # of each weight in a checkpoint: itself, and Adam's two moments


def preflight(
    study: Study, folder: StudyFolder, rows: list[TrialRow], *, data: Dataset, parameters: int, fresh: bool = False
) -> list[str]:
    """Notes for the user. Raises PathError where study or report could not be written, StudyFileError for a sampler or
    pruner that cannot serve this study, ResourceError for images that do not fit into shared memory.

    `rows` are the trials there; `parameters` the numbers that the network trains.
    """
    build_sampler(study, 0)
    build_pruner(study)
    refuse_too_large(data)
    refuse_unwritable(folder.root, "results")
    refuse_unwritable(folder.root / "report", "report")
    if fresh and folder.root.exists():
        refuse_unwritable(folder.root.parent / "set-aside", "--fresh")
    notes = [*_of_study(study), *_of_machine(study, folder, [] if fresh else rows, parameters), *data.notes]
    return [*notes, *([f"caveat of every figure: {data.caveat}"] if data.caveat else [])]


def refuse_too_large(data: Dataset) -> None:
    """Raise ResourceError where the images do not fit into Ray's shared memory, which all trials read them from."""
    wanted = sum(split.images.nbytes + split.labels.nbytes for split in (data.train, data.validation, data.test))
    there = int(OBJECT_STORE_SHARE * psutil.virtual_memory().total)
    if SHARED_MEMORY.is_dir():
        there = min(there, shutil.disk_usage(SHARED_MEMORY).free)
    if wanted > there:
        raise ResourceError(
            f"{data.label}: the images take {wanted / 1e6:,.0f} MB of shared memory, and {there / 1e6:,.0f} MB are "
            f"there ({SHARED_MEMORY} and {OBJECT_STORE_SHARE:.0%} of the memory); make them smaller (resize in "
            "the study file), or give more (a container's --shm-size)"
        )


def _of_study(study: Study) -> Iterator[str]:
    if study.trials_possible < study.trials and study.budget is None:
        yield (
            f"the space holds {len(study.configurations or ())} configurations, and none is trained twice: the study "
            f"is complete after {study.trials_possible} trials, not {study.trials}"
        )
    if study.pruner.name != "none" and study.pruner.min_epochs >= study.max_epochs:
        yield (
            f"the pruner stops no trial: it first looks at epoch {study.pruner.min_epochs} of {study.max_epochs}; "
            "lower pruner.min_epochs"
        )


def _of_machine(study: Study, folder: StudyFolder, rows: list[TrialRow], parameters: int) -> Iterator[str]:
    yield from machine_notes()
    decoded = sum(one.size for one in leftover(DECODED, "", cached_files()))
    if decoded > MUCH_DECODED:
        place = cache_dir() / "decoded"
        yield f"decoded images take {decoded / 1e9:.1f} GB in {place}; `hw2tune clean --only {DECODED}` frees them"
    left = study.trials_left(len(rows), sum(row.epochs_spent for row in rows))
    wanted = left * trial_bytes(parameters)
    place = next(part for part in (folder.root.absolute(), *folder.root.absolute().parents) if part.exists())
    free = shutil.disk_usage(place).free
    if wanted > free:
        yield (
            f"{place}: {free / 1e6:.1f} MB are free, and {left} trials take about {wanted / 1e6:.1f} MB; the study "
            "will end in order when the disk is full, and go on when there is room"
        )


def trial_bytes(parameters: int) -> int:
    """About what a trial keeps on disk: its last and its best checkpoint."""
    return 2 * (4 * COPIES * parameters + CHECKPOINT_OVERHEAD)


def make_plan(
    study: Study, folder: StudyFolder, rows: Sequence[TrialRow], *, data: Dataset, capacity: Capacity
) -> StudyStarted:
    """The plan of a run, from its trials so far (`rows`) and the resources."""
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
