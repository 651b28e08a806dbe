"""A study's trials, run until it holds them all or something ends the run before."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from optuna.trial import TrialState

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NoTrialFinishedError, NotWritableError, RayFailedError, ResourceError
from hw2tune.events import Listeners, StudyFinished
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.preflight import make_plan
from hw2tune.execution.tune import run_tune
from hw2tune.records.layout import StudyFolder
from hw2tune.records.leftovers import size_of
from hw2tune.records.trials.rows import write_trials_table
from hw2tune.records.trials.states import DATA_ERROR, LOST
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.resources import Capacity
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.driver import RunEnd, StudyDriver
from hw2tune.search.failures import COMMON, Failure, FailurePolicy
from hw2tune.search.ordered import OrderedDriver
from hw2tune.search.recorder import FINISHED, Recorder
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, listed


def run_trials(
    study: Study,
    *,
    folder: StudyFolder,
    data: Dataset,
    cluster: Cluster,
    tell: Listeners,
    retries: int = 2,
    deadline: float | None = None,
    sound: bool = False,
    execute: Callable[..., RunEnd] = run_tune,
) -> RunEnd:
    """Run a study until it holds its trials, is interrupted, or `deadline` (of `time.monotonic`) has passed.

    The folder must be locked and Ray connected; `execute` takes the arguments of `run_tune`. Raises NotWritableError
    where the disk takes no more, and NoTrialFinishedError where the first trials all fail in the same way; both leave a
    study that the same command continues. With `sound`, as another arm's trials have values, they may all diverge.

    After a run that Ray's failure ended, its trials go on one at a time: one that ends Ray's run again is lost, if
    epochs show that Ray works otherwise.
    """
    recorder = Recorder(study, create_optuna_study(folder, study), folder, tell)
    policy = FailurePolicy(retries=retries, sound=sound)
    recorder.enqueue_references()
    tell(make_plan(study, folder, recorder.rows(), data=data, capacity=cluster.capacity()))
    for machine, why in cluster.nodes.unsuitable.items():
        tell.note(f"{machine} is excluded: {why}")
    suspects, begun, gpus, epochs = False, False, False, recorder.epochs_spent
    while recorder.unfinished:
        before = len(recorder.trials(*FINISHED))
        try:
            # Machines may have gone since the beginning.
            capacity = cluster.capacity(policy.excluded, at_most=begun)
        except ResourceError:
            if deadline is None or time.monotonic() < deadline:
                raise
            end = RunEnd.OUT_OF_TIME
            break
        begun = True
        driver = _driver(recorder, policy, cluster, capacity, deadline)
        if suspects:
            driver.suspects, capacity = True, replace(capacity, concurrency=1)
        try:
            end = execute(driver, cluster=cluster, capacity=capacity, data=data)
        except RayFailedError as error:
            if driver.ending is RunEnd.INTERRUPTED:
                end = driver.ending
                break
            if not driver.running or (suspects and recorder.epochs_spent == epochs):
                raise RayFailedError(f"{error}; finished trials are kept, run the same command again") from error
            recorder.tell.note(f"{error}; the trials that were running go on one at a time")
            if suspects:
                _close_lost(recorder, driver, error)
                epochs = recorder.epochs_spent
            suspects = bool(recorder.trials(TrialState.RUNNING))
            continue
        finally:
            gpus = gpus or driver.gpu_slots > 0
        match end:
            case RunEnd.COMPLETE:
                driver.close_deferred()  # there were too few trials to tell a fault of the set-up
                assert suspects or len(recorder.trials(*FINISHED)) > before, "a run of Tune finishes a trial"
                suspects = False
            case RunEnd.MACHINE_EXCLUDED:
                continue
            case RunEnd.NOT_WRITABLE:
                raise _what_is_missing(recorder)
            case RunEnd.INTERRUPTED | RunEnd.OUT_OF_TIME | RunEnd.COMMON_FAILURE:
                break
    else:
        end = RunEnd.COMPLETE
    _tell_of_order(recorder, gpus=gpus)
    return _ended(recorder, policy, end)


def _ended(recorder: Recorder, policy: FailurePolicy, end: RunEnd) -> RunEnd:
    """Write the table of trials and tell the end. Raises NoTrialFinishedError for a failure that all trials share."""
    folder, rows = recorder.folder, recorder.rows()
    write_trials_table(folder, rows, list(recorder.study.space))
    recorder.tell(StudyFinished(folder=str(folder.root), end=end.value, rows=rows))
    if end is RunEnd.COMMON_FAILURE:
        failure = policy.common_failure
        assert failure is not None
        where = f"; {folder.trial(0).root.parent}/*/error.txt hold the tracebacks" if failure.traceback else ""
        raise NoTrialFinishedError(
            f"{folder.root}: {COMMON} trials in a row failed in the same way, the last one `{failure.reason}`"
            f"{where}. Mend the cause, and the same command goes on; a change of the study file or its code needs "
            "--fresh"
        )
    return end


def _tell_of_order(recorder: Recorder, *, gpus: bool) -> None:
    """Note what the virtual order has cost, and what may make another run of the study a different one."""
    if recorder.study.order != "virtual":
        return
    if dropped := recorder.dropped_epochs:
        behind = f"virtual order: {counted(dropped, 'epoch')} trained behind a stop"
        recorder.tell.note(f"{behind}, which do not count, beside {recorder.epochs_spent:,} that do")
    lost = [row.number for row in recorder.rows() if row.state in (LOST, DATA_ERROR)]
    reasons = [f"trial {listed(lost)} ended with its worker or machine"] if lost else []
    reasons += ["a GPU's arithmetic may differ from run to run"] if gpus else []
    for reason in reasons:
        recorder.tell.note(f"virtual order: {reason}, so the same study again may come out otherwise")


def _driver(
    recorder: Recorder, policy: FailurePolicy, cluster: Cluster, capacity: Capacity, deadline: float | None
) -> StudyDriver:
    """The driver of the next run of Tune; what is not finished is given out again."""
    drawn = len(recorder.trials(*FINISHED, TrialState.RUNNING))
    recorder.optuna_study.sampler = build_sampler(recorder.study, drawn)
    recorder.optuna_study.pruner = build_pruner(recorder.study)
    return (OrderedDriver if recorder.study.order == "virtual" else StudyDriver)(
        recorder=recorder,
        policy=policy,
        tell=recorder.tell,
        slots=capacity.concurrency,
        gpu_slots=capacity.gpu_slots,
        machines=lambda: cluster.able,
        deadline=deadline,
    )


def _close_lost(recorder: Recorder, driver: StudyDriver, error: Exception) -> None:
    """Close the trial that was running alone."""
    failure = Failure(state=LOST, reason=f"{LOST}: {error}", traceback="".join(traceback.format_exception(error)))
    for live in driver.running:
        recorder.append_error(live.trial.number, failure)
        recorder.close_failed(live.trial, failure)


def _what_is_missing(recorder: Recorder) -> NotWritableError:
    """The disk's error, with what is kept and what the rest of the study will need."""
    finished, begun = recorder.trials(*FINISHED), recorder.trials(TrialState.RUNNING)
    left = recorder.study.trials_left(len(finished), recorder.epochs_spent)
    sizes = [size_of(recorder.folder.trial(trial.number).root) for trial in finished or begun]
    need = left * max(sizes, default=0)
    return NotWritableError(
        f"{recorder.not_writable}; {len(finished)} trials are finished and kept, {len(begun)} stand at their last "
        f"checkpoint. Make room (about {max(need, 1_000_000) / 1e6:.1f} MB for the {left} trials left), and the same "
        "command goes on"
    )
