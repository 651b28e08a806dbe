"""A trial as Tune runs it, in a worker process that is kept for the next trial, and the failure of a worker that died.

torch is imported in the worker only: the driver needs this class by name, and starts 4 s sooner without. Nor is Optuna
imported in the worker, which starts 0.7 s sooner: Ray sends names of modules, so what it sends lies here.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray._private.worker
from ray import tune
from ray._private.state import state
from ray.exceptions import GetTimeoutError, ObjectLostError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.states import DATA_ERROR, FAILED, LOST, OUT_OF_MEMORY
from hw2tune.search.failures import Failure, failure_of
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.objectives import PARAMETERS
from hw2tune.study.schema import Study
from hw2tune.text.plain import last_line
from hw2tune.train.cadence import Cadence
from hw2tune.train.task import TrialData, task_of

if TYPE_CHECKING:
    from hw2tune.train.trainer import Session, Trainer

# What travels in a trial's result from the worker to the driver, besides the epoch's record. No disk need be shared:
# what is larger than INLINE lies in Ray's object store, and the result has its reference. Tune copies a result several
# times, which took six seconds for 136 MB.
CHECKPOINT = "checkpoint"  # the whole training state after the epoch, where it was saved
WEIGHTS = "weights"  # of the network by name, where no epoch before was as good
RESUMED = "resumed"  # the epoch of a resumed trial's checkpoint, on its first result: no epoch was trained for it
FAILURE = "failure"  # in place of an epoch: the fields of `search.failures.Failure`
NODE = "node"  # Ray's id of the worker's node

INLINE = 1_000_000  # bytes, which Tune copies in a millisecond
FETCH = 600  # seconds for an object from another machine

# An illegal access or a failed assert breaks CUDA for the whole process: all that follows on it fails at once. Other
# errors of this text are rare enough to end a process for.
BROKEN = ("CUDA error", "cuDNN error")
NODE_DIED = "its node has died"  # in Ray's text, which may come before the node is off Ray's list
# A worker that fails before the trial's own code runs: Ray keeps the text of the cause and not its type.
DATA_LOST = ("ObjectLostError", "ObjectFetchTimedOutError", "OwnerDiedError", "ObjectFreedError")


class Resume:
    """The checkpoint that a trial resumes from, as `sent`: in a configuration, which Tune copies, saves and names by.

    The driver's copies are this one object, and let go of the checkpoint together.
    """

    def __init__(self, checkpoint: Any) -> None:
        self.checkpoint = checkpoint

    def __repr__(self) -> str:
        return "checkpoint"  # the trial's name would have its bytes, four characters each

    def __deepcopy__(self, memo: dict[int, Any]) -> Resume:
        return self

    def __getstate__(self) -> dict[str, Any]:
        # For the worker alone: Ray 2.60 keeps for good what a reference stands for that others pickle or copy.
        sent = ray._private.worker.global_worker.get_serialization_context().is_in_band_serialization()
        return {"checkpoint": self.checkpoint if sent else None}


class WorkerBrokenError(Exception):
    """A failure, by its fields, after which the worker's process can train nothing more."""


class TrainingTrial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """Train one configuration; a step is an epoch. What goes wrong is a result with a reason, not a dead process.

    But a step raises WorkerBrokenError after an error of CUDA's: Tune ends a worker that raised, and reuses all others.
    """

    def setup(self, config: dict[str, Any], data: TrialData, study: Study, threads: int) -> None:
        """Once a process. All work waits for the first step, where what fails has a way to say why."""
        self.study, self.trial_data, self.threads = study, data, threads
        self.trainer: Trainer | None = None
        self.cadence = Cadence()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process."""
        self.session: Session | None = None
        self.config = new_config
        self.trained_at: float | None = None  # time of time.monotonic at the end of the last epoch
        self.saved, self.since = 0, 0.0  # bytes of the checkpoint after that epoch, seconds trained after the last one
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; for a resumed trial, first return the epoch of its checkpoint."""
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""  # asking would start Ray
        return self._step() | {NODE: node}

    def _step(self) -> dict[str, Any]:
        try:
            if self.session is None:
                self.session = self._open()
                if epoch := self.session.state.epoch:
                    best = {} if self.session.best is None else {WEIGHTS: sent(self.session.best.weights)}
                    return best | {RESUMED: epoch, "epoch": epoch, "done": self.session.finished}
            return self._epoch(self.session)
        except Exception as error:  # the user's network and objective may raise anything
            epoch_number = None if self.session is None else self.session.state.epoch + 1
            failure = failure_of(error, epoch_number, self.study.code)
            fields = asdict(replace(failure, machine=ray.util.get_node_ip_address()))
            if any(text in str(error) for text in BROKEN):
                raise WorkerBrokenError(fields) from error
            return {FAILURE: fields, "done": True}

    def _epoch(self, session: Session) -> dict[str, Any]:
        """Train one epoch, and save it if that is due."""
        began = time.monotonic()
        if self.trained_at is not None:
            self.cadence.paid(self.saved, began - self.trained_at)
        result = session.step() | {"done": session.finished}
        if self.study.second_objective is not None:
            result[PARAMETERS] = session.parameters
        if session.at_best and session.best is not None:
            result[WEIGHTS] = sent(session.best.weights)
        self.trained_at, self.saved = time.monotonic(), 0
        seconds = self.trained_at - began
        self.since += seconds
        # A trial may stop at a rung to wait for others, and goes on from there.
        rung = self.study.budget is not None and session.state.epoch in self.study.rungs
        due = self.cadence.is_due(session.size, epoch_seconds=seconds, since=self.since)
        if rung or due or node_is_leaving():
            content = session.checkpoint()
            result |= {CHECKPOINT: sent(content), DIGEST: digest(content)}
            self.saved, self.since = len(content), 0.0
        return result

    def _open(self) -> Session:
        from hw2tune.train.trainer import Trainer

        if self.trainer is None:
            self.trainer = Trainer(self.trial_data, threads=self.threads, gpu=self.config["gpu"] > 0)
        resume = self.config["resume"]
        saved = None if resume is None else received(resume.checkpoint)
        self.config = self.config | {"resume": None}  # Tune sends the configuration back with every result
        hyperparameters = Hyperparameters.of(self.config["hyperparameters"])
        return self.trainer.open(task_of(self.study, hyperparameters, self.study.seed), saved)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune saves nothing: a checkpoint travels with its epoch's result."""


def node_is_leaving() -> bool:
    """Return whether the node of this worker is to leave: what is not saved now is lost with it."""
    with contextlib.suppress(RayError):  # a head that does not answer is no fault of the trial's
        return ray.is_initialized() and ray.get_runtime_context().get_node_id() in state.get_draining_nodes()
    return False


def sent(content: Any) -> Any:
    """Return what stands for a checkpoint or weights in a result: a reference, unless they are small."""
    is_checkpoint = isinstance(content, bytes | memoryview)
    size = len(content) if is_checkpoint else sum(array.nbytes for array in content.values())
    if size <= INLINE:
        return bytes(content) if is_checkpoint else content
    return ray.put(np.frombuffer(content, np.uint8) if is_checkpoint else content)


def received(given: Any) -> Any:
    """Return what `sent` stands for, a checkpoint without copying it; None if it is gone with the process that had it.

    Ray's own errors say that its process died, or that the object was lost with its machine.
    """
    if not isinstance(given, ray.ObjectRef):
        return given
    try:
        content = ray.get(given, timeout=FETCH)
    except (ObjectLostError, GetTimeoutError):
        return None
    return content.data if isinstance(content, np.ndarray) else content


def worker_death(
    error: Exception | None, *, machine: str = "", gone: bool = False, killed_by_kernel: bool = False
) -> Failure:
    """The failure of a worker that died, or said that it is broken.

    `machine` is its address, empty where unknown, and `gone` if it does not answer. The death of a machine says nothing
    of the trial.
    """
    if isinstance(error, RayTaskError) and isinstance(error.cause, WorkerBrokenError):
        return Failure(**error.cause.args[0])
    began = isinstance(error, RayActorError) and error.actor_init_failed
    data_lost = isinstance(error, RayTaskError) and isinstance(error.cause, ObjectLostError)
    text, died = "" if error is None else str(error), False
    if isinstance(error, OutOfMemoryError):
        state, cause = OUT_OF_MEMORY, "Ray's memory monitor ended its worker process"
    elif killed_by_kernel:
        state, cause = OUT_OF_MEMORY, "the kernel ended its worker process"
    elif data_lost or (began and any(name in str(error) for name in DATA_LOST)):
        state, cause = DATA_ERROR, "its data set could not be fetched"
    elif began:
        state, cause = FAILED, last_line(str(error))
    else:
        died = gone or NODE_DIED in text
        state, cause = LOST, "its machine is gone" if died else "its worker process died"
    return Failure(
        state=state, reason=f"{state}: {cause}", traceback=text, transient=True, machine=machine, worker_died=True,
        machine_died=died,
    )  # fmt: skip


def machine_leaving(machine: str) -> Failure:
    """What ends a trial's attempt on a machine, by its address, that leaves in order."""
    reason = f"{LOST}: its worker was taken away"
    return Failure(state=LOST, reason=reason, transient=True, machine=machine, worker_died=True, machine_left=True)


def kernel_kills() -> int:
    """The number of processes that this machine's kernel has ended for memory; 0 where it does not say."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^oom_kill (\d+)", Path("/proc/vmstat").read_text("ascii"), re.MULTILINE):
            return int(found[1])
    return 0
