"""A trial as Tune runs it, in a worker process that is kept for the next trial, and the failure of a worker that died.

torch is imported in the worker only: the driver needs this class by name, and starts 4 s sooner without. Nor is Optuna
imported in the worker, which starts 0.7 s sooner: Ray sends names of modules, so what it sends lies here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, RayTaskError

from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.states import DATA_ERROR, FAILED, LOST, OUT_OF_MEMORY
from hw2tune.search.failures import Failure, failure_of
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.objectives import PARAMETERS
from hw2tune.study.schema import Study
from hw2tune.text.plain import last_line
from hw2tune.train.task import TrialData, task_of

if TYPE_CHECKING:
    from hw2tune.train.trainer import Session, Trainer

# What travels in a trial's result from the worker to the driver, besides the epoch's record. Checkpoints travel here
# rather than over a shared disk: they are about 1 MB at most, and no cluster then needs one.
CHECKPOINT = "checkpoint"  # bytes: the whole training state after the epoch
RESUMED = "resumed"  # the epoch of a resumed trial's checkpoint, on its first result: no epoch was trained for it
FAILURE = "failure"  # in place of an epoch: the fields of `search.failures.Failure`

# An illegal access or a failed assert breaks CUDA for the whole process: all that follows on it fails at once. Other
# errors of this text are rare enough to end a process for.
BROKEN = ("CUDA error", "cuDNN error")
# A worker that fails before the trial's own code runs: Ray keeps the text of the cause and not its type.
DATA_LOST = ("ObjectLostError", "ObjectFetchTimedOutError", "OwnerDiedError", "ObjectFreedError")


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
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process."""
        self.session: Session | None = None
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; for a resumed trial, first return the epoch of its checkpoint."""
        try:
            if self.session is None:
                self.session = self._open()
                if epoch := self.session.state.epoch:
                    return {RESUMED: epoch, "epoch": epoch, "done": self.session.finished}
            record, content = self.session.step(), self.session.checkpoint()
            if self.study.second_objective is not None:
                record[PARAMETERS] = self.session.parameters
            return record | {CHECKPOINT: content, DIGEST: digest(content), "done": self.session.finished}
        except Exception as error:  # the user's network and objective may raise anything
            epoch_number = None if self.session is None else self.session.state.epoch + 1
            failure = failure_of(error, epoch_number, self.study.code)
            fields = asdict(replace(failure, machine=ray.util.get_node_ip_address()))
            if any(text in str(error) for text in BROKEN):
                raise WorkerBrokenError(fields) from error
            return {FAILURE: fields, "done": True}

    def _open(self) -> Session:
        from hw2tune.train.trainer import Trainer

        if self.trainer is None:
            self.trainer = Trainer(self.trial_data, threads=self.threads, gpu=self.config["gpu"])
        saved = self.config["resume"]
        self.config = self.config | {"resume": None}  # Tune sends the configuration back with every result
        hyperparameters = Hyperparameters.of(self.config["hyperparameters"])
        return self.trainer.open(task_of(self.study, hyperparameters, self.study.seed), saved)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune saves nothing: each epoch's checkpoint travels with its result."""


def worker_death(
    error: Exception | None, *, machine: str = "", alive: Collection[str] = (), killed_by_kernel: bool = False
) -> Failure:
    """The failure of a worker that died, or said that it is broken.

    `machine` is its address, empty where unknown; `alive` those that run.
    """
    if isinstance(error, RayTaskError) and isinstance(error.cause, WorkerBrokenError):
        return Failure(**error.cause.args[0])
    began = isinstance(error, RayActorError) and error.actor_init_failed
    data_lost = isinstance(error, RayTaskError) and isinstance(error.cause, ObjectLostError)
    if isinstance(error, OutOfMemoryError):
        state, cause = OUT_OF_MEMORY, "Ray's memory monitor ended its worker process"
    elif killed_by_kernel:
        state, cause = OUT_OF_MEMORY, "the kernel ended its worker process"
    elif data_lost or (began and any(name in str(error) for name in DATA_LOST)):
        state, cause = DATA_ERROR, "its data set could not be fetched"
    elif began:
        state, cause = FAILED, last_line(str(error))
    else:
        gone = bool(machine) and machine not in alive
        state, cause = LOST, "its machine is gone" if gone else "its worker process died"
    text = "" if error is None else str(error)
    return Failure(
        state=state, reason=f"{state}: {cause}", traceback=text, transient=True, machine=machine, worker_died=True
    )


def kernel_kills() -> int:
    """The number of processes that this machine's kernel has ended for memory; 0 where it does not say."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^oom_kill (\d+)", Path("/proc/vmstat").read_text("ascii"), re.MULTILINE):
            return int(found[1])
    return 0
