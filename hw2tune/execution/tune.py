"""One run of Ray Tune for a driver, and the three places where Tune calls us: they translate and decide nothing.

Ray 2.60's own `OptunaSearch` reports trials stopped early as COMPLETE, leaves a NaN trial RUNNING for ever and names
every study "optuna". Its order of calls is leaned on: of each result the stopper hears first; of a worker's death the
scheduler hears before the searcher (`TuneController._process_trial_result`, `_process_trial_failure`).
"""

from __future__ import annotations

import contextlib
import errno
import pickle
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NotWritableError, RayFailedError, ResourceError
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.trainable import (
    CHECKPOINT,
    FAILURE,
    NODE,
    RESUMED,
    WEIGHTS,
    Resume,
    TrainingTrial,
    kernel_kills,
    machine_leaving,
    received,
    sent,
    worker_death,
)
from hw2tune.execution.workarounds import tune_adapted
from hw2tune.interrupt import interruptible
from hw2tune.records.atomic import not_writable
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.resources import Capacity, without_advice
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, RunEnd, StudyDriver, Wait
from hw2tune.search.failures import Failure
from hw2tune.text.numbers import counted
from hw2tune.text.plain import last_line
from hw2tune.train.task import TrialData

TUNES_OWN = ("config", "hist_stats", "done")  # the configuration stands in params.json


def run_tune(
    driver: StudyDriver, *, data: Dataset, cluster: Cluster, capacity: Capacity, trainable: type[Any] = TrainingTrial
) -> RunEnd:
    """Run the driver's trials and return what ended them.

    Raises NotWritableError for a full temporary folder, RayFailedError where Ray fails, and what the driver raises.
    `trainable` takes the arguments of `TrainingTrial`.
    """
    run = TuneRun(driver, cluster, capacity)
    # Tune insists on keeping a state that nobody reads.
    with (
        _full_disk_named(),
        tempfile.TemporaryDirectory(prefix="tune-", dir=cluster.scratch, ignore_cleanup_errors=True) as scratch,
    ):
        tuner = tune.Tuner(
            _with_resources(trainable, driver, data, capacity),
            tune_config=tune.TuneConfig(
                search_alg=TuneSearcher(run),
                scheduler=TuneScheduler(run, cluster.here),
                num_samples=-1,  # the searcher says when there are enough
                max_concurrent_trials=sys.maxsize,  # the searcher says when there are enough at once, too
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                progress_reporter=tune.CLIReporter(),  # silent at `verbose=0`; a notebook's own clears the cell
                stop=TuneStopper(run),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        adapted = tune_adapted(lambda: driver.has_more, lambda: driver.may_have_more, run.is_leaving)
        with adapted, interruptible(driver.interrupt), _faults_of(run):
            tuner.fit()
    return driver.ending or RunEnd.COMPLETE


def _with_resources(trainable: type[Any], driver: StudyDriver, data: Dataset, capacity: Capacity) -> Any:
    """Return the trainable with its data and its slot: on none of the nodes to avoid, with or without a GPU."""
    trial_data = TrialData(info=data.info, train=data.train, validation=data.validation)

    def slot(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        bundle = {"CPU": capacity.cpus_per_trial} | ({"GPU": config["gpu"]} if config["gpu"] else {})
        selector = [config["selector"]] if config["selector"] else None
        return tune.PlacementGroupFactory([bundle], bundle_label_selector=selector)

    given = tune.with_parameters(trainable, data=trial_data, study=driver.study, threads=capacity.threads)
    return tune.with_resources(given, slot)


@contextlib.contextmanager
def _full_disk_named() -> Iterator[None]:
    """Raise NotWritableError where Tune fails for want of space in the temporary folder: the study's own is handled."""
    try:
        yield
    except Exception as error:  # Tune's errors of a full disk are of many types
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                place = Path(str(cause.filename or tempfile.gettempdir() + "/hw2tune"))
                refused = not_writable(place, cause, 1_000_000)
                raise NotWritableError(f"{refused}; make room there or name another place in TMPDIR") from cause
            cause = cause.__cause__ or cause.__context__
        raise


@contextlib.contextmanager
def _faults_of(run: TuneRun) -> Iterator[None]:
    """Around Tune's run: raises an error of the driver's unchanged, and RayFailedError for all others."""
    try:
        yield
    except Exception as error:  # Ray 2.60: whatever Tune's controller does not expect ends it
        if run.fault is None:
            raise RayFailedError(f"Ray Tune ended with {type(error).__name__}: {last_line(error)}") from error
    if run.fault is not None:
        raise run.fault


@dataclass
class TuneRun:
    """State that the three adapters share: the driver, the capacity as it is now, and Tune's trials by Tune's own id.

    `fault` is the first error that a call of the driver raised: Tune 2.60 wraps some of them and drops others.
    """

    driver: StudyDriver
    cluster: Cluster
    capacity: Capacity
    numbers: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)  # ids of those that trials were last heard from, or ended on
    failures: dict[str, Failure] = field(default_factory=dict)
    on_gpu: set[str] = field(default_factory=set)  # ids of the trials that were given out for one
    fault: Exception | None = None

    def follow_machines(self) -> None:
        """Take up what has joined, and count no longer what leaves; trials that run alone go on alone."""
        if not self.cluster.resources.machines_change or self.driver.suspects:
            return
        unsuitable, tell = dict(self.cluster.nodes.unsuitable), self.driver.tell
        try:
            now = self.cluster.capacity_now(self.driver.policy.excluded, at_most=True)
        except ResourceError as error:  # no machine is left: another may join
            now = replace(self.capacity, concurrency=0, gpu_slots=0, text=without_advice(error))
        for machine in self.cluster.nodes.unsuitable.keys() - unsuitable.keys():
            tell.note(f"{machine} is excluded: {self.cluster.nodes.unsuitable[machine]}")
        if self.capacity.gpu_slots and not now.gpu_slots and any(map(self._waits_for_gpu, self.numbers)):
            self.driver.begin_anew()  # Ray would keep such a trial until a GPU comes, and its slot with it
        if now.concurrency != self.capacity.concurrency:
            tell.note(
                f"{now.text}: {counted(now.concurrency, 'trial')} at once from now on"
                if now.concurrency
                else f"waiting for a machine to join: {now.text}"
            )
        self.capacity, self.driver.gpu_slots = now, now.gpu_slots

    def _waits_for_gpu(self, trial_id: str) -> bool:
        """Return whether a trial was given out for a GPU and is on none of the nodes that are there."""
        alive = {node["NodeID"] for node in self.cluster.nodes.alive}
        return trial_id in self.on_gpu and self.nodes.get(trial_id, "") not in alive

    def is_leaving(self, trial_id: str) -> bool:
        """Return whether the machine of a trial is leaving."""
        return self.nodes.get(trial_id, "") in self.cluster.nodes.leaving

    @contextlib.contextmanager
    def calling(self) -> Iterator[StudyDriver]:
        """Around each call of the driver."""
        try:
            yield self.driver
        except Exception as error:  # of whatever kind: `run_tune` raises it again
            self.fault = self.fault or error
            raise


class NotPickled:
    """Tune pickles its parts into a state of its own that nobody reads: the storage holds it all."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TuneSearcher(NotPickled, Searcher):  # type: ignore[misc]  # Ray ships no types
    """Tune asks it for configurations and tells it that trials ended."""

    def __init__(self, run: TuneRun) -> None:
        super().__init__(metric=run.driver.study.objective, mode=run.driver.study.direction[:3])
        self.run = run

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration, None for nothing yet, FINISHED for nothing more."""
        with self.run.calling() as driver:
            self.run.follow_machines()
            full = len(self.run.numbers) >= self.run.capacity.concurrency
            given = Wait() if full else driver.next()
        if not isinstance(given, Assignment):
            return None if isinstance(given, Wait) else str(Searcher.FINISHED)
        self.run.numbers[trial_id] = given.trial
        if given.gpu:
            self.run.on_gpu.add(trial_id)
        return {
            "number": given.trial,
            "hyperparameters": given.hyperparameters,
            "resume": None if given.checkpoint is None else Resume(sent(given.checkpoint)),
            "gpu": self.run.capacity.gpus_per_trial if given.gpu else 0,
            "selector": self.run.capacity.selector,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended."""
        number, failure = self.run.numbers.pop(trial_id, None), self.run.failures.pop(trial_id, None)
        if failure is None and (error or result is None):
            failure = worker_death(None)
        if number is not None:
            with self.run.calling() as driver:
                driver.ended(number, Outcome(failure=failure, machine=str((result or {}).get("node_ip", ""))))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the stopper sees every epoch, this only those that do not end a trial."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class TuneStopper(NotPickled, tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Tune hands it each result first, and asks it whether the run ends."""

    def __init__(self, run: TuneRun) -> None:
        self.run = run

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether this trial ends here, or goes on elsewhere as its machine is leaving."""
        self.run.nodes[trial_id], saved = result.pop(NODE, ""), CHECKPOINT in result
        ends = self._ends(trial_id, result)
        if saved and not ends and self.run.is_leaving(trial_id):
            self.run.failures[trial_id] = machine_leaving(str(result.get("node_ip", "")))
            return True
        return ends

    def _ends(self, trial_id: str, result: dict[str, Any]) -> bool:
        if FAILURE in result:
            self.run.failures[trial_id] = Failure(**result[FAILURE])
            return True
        number = self.run.numbers[trial_id]
        with self.run.calling() as driver:
            # Ours alone: Tune keeps the last result of every trial.
            checkpoint, weights = received(result.pop(CHECKPOINT, None)), result.pop(WEIGHTS, None)
            fetch = None if weights is None else partial(received, weights)
            if RESUMED in result:
                known = read_epochs(driver.recorder.folder.trial(number))
                before = [record for record in known if record["epoch"] <= result[RESUMED]]
                return driver.resumed(number, before, fetch) is Decision.STOP
            record = {key: value for key, value in result.items() if key not in TUNES_OWN}
            trained = EpochResult(record=record, checkpoint=checkpoint, weights=fetch)
            return driver.epoch(number, trained) is Decision.STOP

    def stop_all(self) -> bool:
        """Return whether the run ends here."""
        return self.run.fault is not None or self.run.driver.end is not None


class TuneScheduler(NotPickled, FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Of Tune's parts only a scheduler learns how a worker died. `here` is this machine's address."""

    def __init__(self, run: TuneRun, here: str) -> None:
        super().__init__()
        self.run, self.here, self.kernel_kills = run, here, kernel_kills()

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A worker died without a word of its own."""
        kills, machine = kernel_kills(), trial.node_ip or ""
        self.run.cluster.nodes.look(afresh=True)
        with self.run.calling():
            if self.run.cluster.nodes.left_in_order(self.run.nodes.get(trial.trial_id, "")):
                self.run.failures[trial.trial_id] = machine_leaving(machine)
            else:
                self.run.failures[trial.trial_id] = worker_death(
                    _error_of(trial),
                    machine=machine,
                    gone=bool(machine) and not self.run.cluster.answers(machine),
                    killed_by_kernel=kills > self.kernel_kills and machine in ("", self.here),
                )
        self.kernel_kills = kills
        self.on_trial_complete(tune_controller, trial, {})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """The trial's worker has its checkpoint."""
        self.on_trial_complete(tune_controller, trial, result)
        return str(FIFOScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Drop the checkpoint that a trial went on from: Tune keeps its trials, and each keeps its configuration."""
        if (resume := trial.config["resume"]) is not None:
            resume.checkpoint = None


def _error_of(trial: Any) -> Exception | None:
    """The error that ended a trial's worker. `trial.get_pickled_error()` would look where Tune copies it later."""
    file = trial.pickled_error_file
    return pickle.loads(Path(file).read_bytes()) if file else None  # written by this very process
