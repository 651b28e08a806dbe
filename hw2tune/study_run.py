"""One run of a study on a connection to Ray: checks, the search, and the verdict from the records on disk."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NoTrialFinishedError
from hw2tune.events import Listeners, StudyFinished
from hw2tune.execution.machine import this_machine
from hw2tune.execution.preflight import preflight
from hw2tune.execution.request import Connection, Request, load_for, resolve
from hw2tune.loggers import optuna_silenced
from hw2tune.records.dataset import refuse_other_images
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.opening import opened, refuse_another_study, refuse_in_use
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.remote.mirror import mirrored, reading_study
from hw2tune.records.trials.rows import trial_rows
from hw2tune.records.trials.states import COMPLETE, INTERRUPTED
from hw2tune.records.trials.storage import read_trials
from hw2tune.resources import Capacity, find_capacity
from hw2tune.search.driver import RunEnd
from hw2tune.search.view import take_over
from hw2tune.study.file import may_change
from hw2tune.study.schema import Study
from hw2tune.study_result import StudyResult


def run_on(
    connection: Connection, request: Request, tell: Listeners, *, trainable: type[Any] | None = None
) -> StudyResult:
    """Run a study on a connection that others use as well; `trainable` replaces the class that trains a trial."""
    deadline = None if request.time_budget is None else time.monotonic() + request.time_budget
    study = resolve(request)
    with optuna_silenced(), mirrored(request.results, [study.name], tell.note) as results:
        folder = StudyFolder(results / study.name)
        before = None
        if request.fresh:
            refuse_in_use(folder)
        elif (before := refuse_another_study(folder, study)) and (there := _finished(study, before, tell)):
            return there
        known = None if request.warm_start is None else reading_study(request.results, request.warm_start)
        data = _checked_images(study, folder, before, request, tell)
        # Ray and Tune take seconds to import: not before everything that may refuse has been looked at. The folder is
        # touched last: a command that is refused changes nothing.
        cluster = connection.cluster(meanwhile="hw2tune.execution.run")
        with opened(results, study, data, fresh=request.fresh, say=tell.note, known=before) as folder:
            from hw2tune.execution.run import run_trials
            from hw2tune.execution.tune import run_tune

            if known is not None:
                tell.note(take_over(study, folder, known))
            _note_run(study, folder, data, cluster.capacity(), tell)
            execute = run_tune if trainable is None else partial(run_tune, trainable=trainable)
            end = run_trials(
                study, folder=folder, data=data, cluster=cluster, tell=tell, retries=request.retries,
                deadline=deadline, execute=execute,
            )  # fmt: skip
        return _judged(read_overview(folder), end)


def _finished(study: Study, overview: Overview, tell: Listeners) -> StudyResult | None:
    """Return the study if all its trials are there; claims and data set of the study file are then updated."""
    folder = overview.folder
    begun = any(row.state == INTERRUPTED for row in overview.rows)
    if begun or study.trials_left(len(overview.finished), sum(row.epochs_spent for row in overview.rows)):
        return None
    there = _judged(overview, RunEnd.COMPLETE)
    if (there.study.claims, there.study.dataset) != (study.claims, study.dataset):
        with opened(folder.root.parent, study, say=tell.note, known=overview):
            pass  # written
        there = _judged(read_overview(folder), RunEnd.COMPLETE)
    tell(StudyFinished(folder=str(folder.root), end=RunEnd.COMPLETE.value, rows=there.overview.rows))
    return there


def _note_run(study: Study, folder: StudyFolder, data: Dataset, capacity: Capacity, tell: Listeners) -> None:
    slots = {"at": capacity.text, "trials_at_once": capacity.concurrency}
    each = {"threads": capacity.threads, "gpus_per_trial": capacity.gpus_per_trial}
    add_run(
        folder,
        tell.note,
        study=may_change(study),
        seeds={"study": study.seed, "split": study.split_seed},
        data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
        resources=slots | each,
    )


def _checked_images(
    study: Study, folder: StudyFolder, before: Overview | None, request: Request, tell: Listeners
) -> Dataset:
    """Load the study's images; refuse, or note, what can be known before a search. Raises Hw2tuneError."""
    data = load_for(study, request.data_dir, tell)
    if not request.fresh:
        refuse_other_images(folder, data)
    if request.resources.address is None:
        find_capacity([this_machine()], request.resources)  # refuses what will not fit
    trials = before.trials if before else [] if request.fresh else read_trials(folder)
    rows = trial_rows(study, trials, alive=False)
    for note in preflight(study, folder, rows, data=data, fresh=request.fresh).notes:
        tell.note(note)
    return data


def _judged(overview: Overview, end: RunEnd) -> StudyResult:
    folder = overview.folder
    if overview.state == COMPLETE and overview.all_failed:
        raise NoTrialFinishedError(
            f"{folder.root}: every one of {len(overview.finished)} trials failed, the last one "
            f"`{overview.finished[-1].reason}`; hw2tune status {folder.name} shows each"
        )
    return StudyResult(overview, end)
