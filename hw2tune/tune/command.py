"""`hw2tune study` from its options to a finished study, and `hw2tune check`, which stops before the training."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hw2tune.data.dataset import Dataset
from hw2tune.data.guard import refuse_overlap
from hw2tune.data.load import load_dataset
from hw2tune.errors import NoTrialFinishedError
from hw2tune.interrupt import start_deaf_thread
from hw2tune.records.environment import add_run
from hw2tune.records.folder import StudyFolder
from hw2tune.records.mirror import mirrored, reading
from hw2tune.records.opening import opened, refuse_another_study
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.states import COMPLETE, INTERRUPTED
from hw2tune.records.storage import read_trials
from hw2tune.records.trials import trial_rows
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import NAME_PATTERN, Study
from hw2tune.tune.cost import Cost, estimate
from hw2tune.tune.machine import this_machine
from hw2tune.tune.observer import Observer, Plan
from hw2tune.tune.plan import make_plan
from hw2tune.tune.preflight import preflight
from hw2tune.tune.room import Wish, room


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of a command. `overrides` lie over the study file: `max_epochs`, `pruner.name`, ...

    `retries` is for trials that failed in a way that may pass; `time_budget` is in seconds.
    """

    study: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    results: Path | str = Path("ray_results")  # or a URL
    data_dir: Path | None = None
    wish: Wish = field(default_factory=Wish)
    fresh: bool = False
    retries: int = 2
    time_budget: float | None = None


def resolve(request: Request) -> Study:
    """The study file with the options laid over it. Raises StudyFileError."""
    plain = re.fullmatch(NAME_PATTERN, request.study)  # it may stand in the results
    text, place = find_study(request.study, results=reading(request.results, request.study) if plain else None)
    given = {key: value for key, value in request.overrides.items() if value is not None}
    return parse_study(text, place, folder_name(Path(place)) | given)


def folder_name(file: Path) -> dict[str, str]:
    """The name of a study that has run: that of its folder, which may have been copied or renamed."""
    folder = StudyFolder(file.parent)
    return {"name": folder.name} if file.name == folder.study_file.name and folder.journal.exists() else {}


def load_for(
    study: Study,
    data_dir: Path | None,
    observer: Observer,
    *,
    validation_size: int | None = None,
    download: bool = True,
) -> Dataset:
    """The study's data set in the split that it asks for, or with another validation size.

    Raises DataError, also where two splits share pictures: no claim could be made in the end.
    """
    observer.stage(f"loading {study.dataset}")
    data = load_dataset(
        study.dataset,
        data_dir=data_dir,
        validation_size=study.validation_size if validation_size is None else validation_size,
        split_seed=study.split_seed,
        download=download,
        progress=lambda what, done, of: observer.stage(f"{what}: {done:,} of {of:,}"),
    )
    refuse_overlap(data)
    return data


def check(request: Request) -> tuple[Plan, Cost, list[str]]:
    """Study, data and resources as `run` would find them, what it would cost, and notes. Raises Hw2tuneError."""
    study = resolve(request)
    folder = StudyFolder(reading(request.results, study.name) / study.name)
    refuse_another_study(folder, study)
    data = load_for(study, request.data_dir, Observer(), download=False)
    space = room([this_machine()], request.wish)
    rows = trial_rows(study, read_trials(folder), alive=False)
    notes = preflight(study, folder, rows)
    plan = make_plan(study, folder, rows, data=data, room=space)
    left = plan.left + len(plan.resumed)
    cost = estimate(
        study, folder, train=len(data.train), validation=len(data.validation), left=left, concurrency=space.concurrency
    )
    return plan, cost, notes


def run(request: Request, observer: Observer) -> tuple[Overview, bool]:
    """Runs a study until it holds its trials. Returns what is there, and whether the time budget ended it.

    Raises Hw2tuneError for what a user can mend, NoTrialFinishedError where every trial failed.
    """
    deadline = None if request.time_budget is None else time.monotonic() + request.time_budget
    study = resolve(request)
    with mirrored(request.results, [study.name], observer.note) as results:
        return _run(study, results, request, observer, deadline)


def _run(
    study: Study, results: Path, request: Request, observer: Observer, deadline: float | None
) -> tuple[Overview, bool]:
    folder = StudyFolder(results / study.name)
    if not request.fresh:
        refuse_another_study(folder, study)
        there = _finished(folder, study)
        if there is not None:
            return there, False
    data = load_for(study, request.data_dir, observer)
    if request.wish.address is None:
        room([this_machine()], request.wish)  # refuses what will not fit
    rows = [] if request.fresh else trial_rows(study, read_trials(folder), alive=False)
    for note in preflight(study, folder, rows, fresh=request.fresh):
        observer.note(note)
    observer.stage("starting Ray" if request.wish.address is None else f"attaching to {request.wish.address}")
    # Ray and Tune take seconds to import: not before everything that may refuse has been looked at. The folder is
    # touched last: a command that is refused changes nothing.
    from hw2tune.tune.cluster import connected

    if request.wish.address is None:  # Tune is imported while Ray starts, which is mostly waiting for its processes
        start_deaf_thread(lambda: importlib.import_module("hw2tune.tune.runner"))
    with (
        connected(request.wish, observer.note) as cluster,
        opened(results, study, fresh=request.fresh, say=observer.note) as folder,
    ):
        from hw2tune.tune.runner import run_study

        space = cluster.room()
        add_run(
            folder,
            observer.note,
            seeds={"study": study.seed, "split": study.split_seed},
            data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
            resources={"at": space.words, "trials_at_once": space.concurrency},
        )
        ending = run_study(
            study, folder=folder, data=data, cluster=cluster, observer=observer, retries=request.retries,
            deadline=deadline,
        )  # fmt: skip
    return _judged(read_overview(folder)), ending == "out of time"


def _finished(folder: StudyFolder, study: Study) -> Overview | None:
    """The study where it has its trials already; nothing is started then."""
    if not folder.study_file.exists():
        return None
    overview = read_overview(folder)
    begun = [row for row in overview.rows if row.state == INTERRUPTED]
    return _judged(overview) if len(overview.finished) >= study.trials_possible and not begun else None


def _judged(overview: Overview) -> Overview:
    folder = overview.folder
    if overview.state == COMPLETE and overview.all_failed:
        raise NoTrialFinishedError(
            f"{folder.root}: every one of {len(overview.finished)} trials failed, the last one "
            f"`{overview.finished[-1].reason}`; hw2tune status {folder.name} shows each"
        )
    return overview
