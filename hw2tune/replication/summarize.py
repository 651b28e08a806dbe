"""`hw2tune summarize` and `hw2tune reproduce` up to the files that their reports are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hw2tune.data.dataset import Dataset
from hw2tune.errors import InterruptedByUserError, StudyFolderError
from hw2tune.events import Observer
from hw2tune.execution.request import load_for
from hw2tune.execution.resources import Room, Wish
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.lock import locked
from hw2tune.records.overview import find_folder, read_overview
from hw2tune.records.replicates.files import read_replicates
from hw2tune.records.replicates.records import ReplicatesFolder
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.protocol import PROTOCOLS


def chosen_folders(results: Path, names: Sequence[str]) -> list[StudyFolder]:
    """The folders of the named studies; without names, of the only one there is. Raises StudyFolderError."""
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
    wish: Wish,
    observer: Observer,
) -> None:
    """Trains and tests the replicates of each study that are not there yet. Raises Hw2tuneError."""
    from hw2tune.replication.replicates import candidates, run_replicates

    for folder in folders:  # what may refuse comes before Ray's seconds
        candidates(read_overview(folder), race)

    def work(folder: StudyFolder, room: Room) -> None:
        overview = read_overview(folder)
        data = load_for(overview.study, data_dir, observer)
        _note_run(folder, observer, data, room, [overview.study.seed + 1 + number for number in range(replicates)])
        run_replicates(overview, data=data, room=room, observer=observer, replicates=replicates, race=race)

    _with_ray(folders, wish, observer, work)


def reproduce_published(
    folders: Sequence[StudyFolder],
    *,
    replicates: int,
    max_epochs: int | None,
    data_dir: Path | None,
    wish: Wish,
    observer: Observer,
) -> None:
    """Repeats the published runs into the folders named by `reproduction_name`. Raises Hw2tuneError."""
    from hw2tune.replication.published import run_reproduction

    def work(folder: StudyFolder, room: Room) -> None:
        protocol = PROTOCOLS[folder.name.removeprefix("reproduce-").partition(".")[0]]
        study = parse_study(*find_study(protocol.study), {"max_epochs": max_epochs} if max_epochs else None)
        data = load_for(study, data_dir, observer, validation_size=protocol.validation_size)
        _note_run(folder, observer, data, room, range(replicates))
        run_reproduction(study, protocol, folder, data=data, room=room, observer=observer, replicates=replicates)

    _with_ray(folders, wish, observer, work)


def reproduction_name(dataset: str, max_epochs: int | None) -> str:
    """The folder of a repetition. A shorter try gets one of its own: it must not stand in the whole run's place."""
    return f"reproduce-{dataset}" + ("" if max_epochs is None else f".{max_epochs}-epochs")


def _with_ray(
    folders: Sequence[StudyFolder], wish: Wish, observer: Observer, work: Callable[[StudyFolder, Room], None]
) -> None:
    observer.stage("starting Ray" if wish.address is None else f"attaching to {wish.address}")
    from hw2tune.execution.cluster import connected

    try:
        with connected(wish, observer.note) as cluster:
            for folder in folders:
                with locked(folder, observer.note):
                    work(folder, cluster.room())
    except KeyboardInterrupt:
        done = sum(len(read_replicates(ReplicatesFolder.of(folder))) for folder in folders)
        raise InterruptedByUserError(
            f"interrupted; {done} replicates and every finished training are kept, the same command continues"
        ) from None


def _note_run(folder: StudyFolder, observer: Observer, data: Dataset, room: Room, seeds: Iterable[int]) -> None:
    add_run(
        folder,
        observer.note,
        seeds={"split": data.split_seed, "replicates": list(seeds)},
        data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
        resources={"at": room.words, "trials_at_once": room.concurrency},
    )
