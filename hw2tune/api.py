"""`hw2tune study` from its options to a finished study, and `hw2tune check`, which stops before the training."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from hw2tune.errors import NoTrialFinishedError
from hw2tune.events import Observer, Plan
from hw2tune.execution.machine import this_machine
from hw2tune.execution.plan import make_plan
from hw2tune.execution.preflight import preflight
from hw2tune.execution.request import Request, load_for, resolve
from hw2tune.execution.resources import room
from hw2tune.interrupt import start_deaf_thread
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.opening import opened, refuse_another_study
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.remote.mirror import mirrored, reading
from hw2tune.records.trials.rows import trial_rows
from hw2tune.records.trials.states import COMPLETE, INTERRUPTED
from hw2tune.records.trials.storage import read_trials
from hw2tune.search.cost import Cost, estimate
from hw2tune.study.schema import Study


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
    from hw2tune.execution.cluster import connected

    if request.wish.address is None:  # Tune is imported while Ray starts, which is mostly waiting for its processes
        start_deaf_thread(lambda: importlib.import_module("hw2tune.execution.runner"))
    with (
        connected(request.wish, observer.note) as cluster,
        opened(results, study, fresh=request.fresh, say=observer.note) as folder,
    ):
        from hw2tune.execution.runner import run_study

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
