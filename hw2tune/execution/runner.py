"""A study run: Tune executes until the study holds the trials asked for, or something ends it before."""

from __future__ import annotations

import errno
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import Literal

from optuna.trial import TrialState
from ray import tune

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NoTrialFinishedError, NotWritableError
from hw2tune.events import Observer
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.plan import make_plan
from hw2tune.execution.resources import Room
from hw2tune.execution.tune.searcher import FINISHED, Deaths, StudySearch
from hw2tune.execution.tune.stopper import StudyStopper
from hw2tune.execution.tune.trainable import TrainingTrial, TrialData
from hw2tune.execution.workarounds import idle_workers_used, starting_workers_awaited
from hw2tune.interrupt import interruptible
from hw2tune.records.atomic import not_writable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import write_trials_table
from hw2tune.records.trials.states import LOST
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.failures import Failure
from hw2tune.search.recorder import Ledger
from hw2tune.search.retries import ALIKE, Faults
from hw2tune.search.samplers import build_pruner, build_sampler
from hw2tune.study.schema import Study

Ending = Literal["complete", "interrupted", "out of time"]

STRIKES = 2  # runs of Tune without a finished trial before the trials that were running count as lost


def run_study(
    study: Study,
    *,
    folder: StudyFolder,
    data: Dataset,
    cluster: Cluster,
    observer: Observer,
    retries: int = 2,
    deadline: float | None = None,
) -> Ending:
    """Runs a study until it holds its trials, is interrupted, or `deadline` (of `time.monotonic`) has passed.

    The folder must be held and Ray connected. Raises NotWritableError where the disk takes no more, and
    NoTrialFinishedError where the first trials all fail alike; both leave a study that the same command continues.
    """
    optuna_study = create_optuna_study(folder, study)
    ledger = Ledger(study, optuna_study, folder, observer)
    ledger.enqueue_published()
    faults = Faults(retries=retries)
    room = cluster.room()
    observer.planned(make_plan(study, folder, ledger.rows(), data=data, room=room))
    for machine, why in cluster.unfit.items():
        observer.note(f"{machine} is left out: {why}")
    ended: Ending = "complete"
    strikes = 0
    while ended == "complete" and ledger.unfinished:
        before = len(ledger.trials(*FINISHED))
        optuna_study.sampler = build_sampler(study, len(ledger.trials(*FINISHED, TrialState.RUNNING)))
        optuna_study.pruner = build_pruner(study)
        search = StudySearch(ledger, faults, room=room, machines=lambda: cluster.machines, here=cluster.here)
        try:
            ended = _fit(search, data=data, deadline=deadline, place=cluster.scratch)
        except Exception as error:
            _refuse_full_scratch(error)
            # Ray 2.60: what Tune's controller does not expect ends it. What ran is taken up again.
            strikes = 1 if len(ledger.trials(*FINISHED)) > before else strikes + 1
            if strikes < STRIKES:
                continue
            if not ledger.trials(TrialState.RUNNING):
                raise
            reason = f"{LOST}: {type(error).__name__}: {error}".splitlines()[0]
            ledger.close_running(Failure(state=LOST, reason=reason, traceback=traceback.format_exc()))
            strikes = 0
        if ledger.refusal is not None:
            raise _what_is_missing(ledger)
        if faults.alike is not None:
            write_trials_table(folder, ledger.rows(), list(study.space))
            raise _alike(study, folder, faults.alike)
        if search.rearrange:
            room = cluster.room(faults.left_out, at_most=True)
        elif ended == "complete":
            assert strikes or len(ledger.trials(*FINISHED)) > before, "a run of Tune finishes a trial"
    write_trials_table(folder, ledger.rows(), list(study.space))
    return ended


def _fit(search: StudySearch, *, data: Dataset, deadline: float | None, place: Path) -> Ending:
    """One run of Tune, and what ended it."""
    stopper = StudyStopper(search, deadline)
    scratch = tempfile.mkdtemp(prefix="tune-", dir=place)  # Tune insists on a folder for the state that we do not use
    room, study = search.room, search.ledger.study
    trainable = tune.with_resources(
        tune.with_parameters(
            TrainingTrial,
            data=TrialData(info=data.info, train=data.train, validation=data.validation),
            study=study,
            threads=room.threads,
        ),
        lambda config: _resources(room, gpu=config["gpu"]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=Deaths(search),
            num_samples=-1,  # the searcher says when there are enough
            max_concurrent_trials=room.concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            verbose=0,
            stop=stopper,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        with interruptible(stopper.interrupt), idle_workers_used(), starting_workers_awaited(search.has_more):
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if search.halted:
        return "complete"
    if stopper.interrupted:
        return "interrupted"
    if stopper.ran_out:
        return "out of time"
    with search.ledger.writing():
        search.close_unproven()  # there were too few trials to tell a fault of the set-up
    return "complete"


def _resources(room: Room, *, gpu: bool) -> tune.PlacementGroupFactory:
    """A slot for one trial, on none of the nodes to avoid."""
    slot = {"CPU": room.cpus_per_trial} | ({"GPU": room.gpus_per_trial} if gpu else {})
    return tune.PlacementGroupFactory([slot], bundle_label_selector=[room.selector] if room.avoid else None)


def _refuse_full_scratch(error: BaseException | None) -> None:
    """Raises NotWritableError where Tune failed for want of space: in the temporary folder, as ours is handled."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            refusal = not_writable(_in_scratch(error), error, 1_000_000)
            raise NotWritableError(f"{refusal}; make room there or name another place in TMPDIR") from error
        error = error.__cause__ or error.__context__


def _in_scratch(error: OSError) -> Path:
    return Path(str(error.filename or tempfile.gettempdir() + "/hw2tune"))


def _what_is_missing(ledger: Ledger) -> NotWritableError:
    """The refusal of the disk, with what is kept and what the rest of the study will need."""
    finished, begun = ledger.trials(*FINISHED), ledger.trials(TrialState.RUNNING)
    left = ledger.study.trials_possible - len(finished)
    sizes = [_size(ledger.folder, trial.number) for trial in [*finished, *begun]]
    need = left * max(sizes, default=0) - sum(_size(ledger.folder, trial.number) for trial in begun)
    return NotWritableError(
        f"{ledger.refusal}; {len(finished)} trials are finished and kept, {len(begun)} stand at their last checkpoint. "
        f"Make room (about {max(need, 1_000_000) / 1e6:.1f} MB for the {left} trials left), and the same command "
        "goes on"
    )


def _size(folder: StudyFolder, number: int) -> int:
    return sum(path.stat().st_size for path in folder.trial(number).root.glob("*"))


def _alike(study: Study, folder: StudyFolder, failure: Failure) -> NoTrialFinishedError:
    where = f"; {folder.trial(0).root.parent}/*/error.txt hold the tracebacks" if failure.traceback else ""
    return NoTrialFinishedError(
        f"{folder.root}: the first {ALIKE} trials all failed alike, the last one `{failure.reason}`{where}. "
        "Mend the cause, and the same command goes on"
    )
