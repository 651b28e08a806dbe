"""`hw2tune summarize` and `hw2tune reproduce` up to the files that their reports are generated from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hw2tune.data.dataset import Dataset
from hw2tune.errors import InterruptedByUserError, StudyFolderError
from hw2tune.events import Listeners, ReplicationFinished
from hw2tune.execution.connection import Connection
from hw2tune.execution.request import load_for
from hw2tune.records.dataset import keep_images
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.lock import locked
from hw2tune.records.overview import Overview, find_folder, read_overview
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from hw2tune.resources import Capacity
from hw2tune.study.file import find_study, may_change, parse_study
from hw2tune.study.published import PROTOCOLS
from hw2tune.study.schema import Study


def chosen_folders(results: Path, names: Sequence[str]) -> list[StudyFolder]:
    """Return the folders of the named studies, or of the only study. Raises StudyFolderError."""
    if names:
        return [find_folder(results, name) for name in names]
    there = study_folders(results)
    if len(there) != 1:
        known = (
            f"it holds {', '.join(folder.name for folder in there)}: name one or several"
            if there
            else ("it holds none yet; `hw2tune study NAME` makes one")
        )
        raise StudyFolderError(f"{results}: which study? {known}")
    return there


def replicate_studies(
    folders: Sequence[StudyFolder],
    *,
    replicates: int,
    race: int,
    data_dir: Path | None,
    connection: Connection,
    tell: Listeners,
) -> list[Overview]:
    """Train and test the missing replicates of each study, and return the studies. Raises Hw2tuneError."""
    from hw2tune.replication.race import candidates
    from hw2tune.replication.replicate import claim_seeds, run_replicates

    overviews = [read_overview(folder) for folder in folders]
    for overview in overviews:  # a study without a value is refused before Ray's seconds
        candidates(overview, race)
    with _interruptible(folders):
        for number, folder in enumerate(folders):
            with locked(folder, tell.note):
                overview = overviews[number] = read_overview(folder, overviews[number])
                study, capacity = overview.study, connection.capacity()
                data = load_for(study, data_dir, tell)
                keep_images(folder, data)
                _note_run(folder, tell, data, capacity, study, claim_seeds(study, replicates))
                run_replicates(overview, data=data, connection=connection, tell=tell, replicates=replicates, race=race)
                tell(ReplicationFinished(folder=str(folder.root)))
    return overviews


def reproduce_published(
    folders: Sequence[StudyFolder],
    *,
    replicates: int,
    max_epochs: int | None,
    data_dir: Path | None,
    connection: Connection,
    tell: Listeners,
) -> None:
    """Repeat the published runs in folders named by `reproduction_name`. Raises Hw2tuneError."""
    from hw2tune.replication.published import run_reproduction

    with _interruptible(folders):
        for folder in folders:
            with locked(folder, tell.note):
                protocol = PROTOCOLS[folder.name.removeprefix("reproduce-").partition(".")[0]]
                study = parse_study(*find_study(protocol.study), {"max_epochs": max_epochs} if max_epochs else None)
                data = load_for(study, data_dir, tell, validation_size=protocol.validation_size)
                _note_run(folder, tell, data, connection.capacity(), study, range(replicates))
                run_reproduction(
                    study, protocol, folder, data=data, connection=connection, tell=tell, replicates=replicates
                )


def reproduction_name(dataset: str, max_epochs: int | None) -> str:
    """Return the folder's name of a repetition. A shorter try has its own: it must not replace the full run."""
    return f"reproduce-{dataset}" + ("" if max_epochs is None else f".{max_epochs}-epochs")


@contextlib.contextmanager
def _interruptible(folders: Sequence[StudyFolder]) -> Iterator[None]:
    """Count the kept replicates at Ctrl-C. Raises InterruptedByUserError."""
    try:
        yield
    except KeyboardInterrupt:
        done = sum(len(read_replicates(ReplicatesFolder.of(folder))) for folder in folders)
        raise InterruptedByUserError(
            f"interrupted; {done} replicates and every finished training are kept, the same command continues"
        ) from None


def _note_run(
    folder: StudyFolder, tell: Listeners, data: Dataset, capacity: Capacity, study: Study, seeds: Iterable[int]
) -> None:
    add_run(
        folder,
        tell.note,
        study=may_change(study),
        seeds={"split": data.split_seed, "replicates": list(seeds)},
        data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
        resources={"at": capacity.text, "trials_at_once": capacity.concurrency},
    )
