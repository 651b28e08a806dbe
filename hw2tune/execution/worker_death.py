"""How a worker died that could not say so itself, from the error that Ray has for it and from the kernel."""

from __future__ import annotations

from collections.abc import Collection

from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, RayTaskError

from hw2tune.execution.tune.trainable import WorkerBrokenError
from hw2tune.records.trials.states import DATA_ERROR, FAILED, LOST, OUT_OF_MEMORY
from hw2tune.search.failures import Failure
from hw2tune.text.plain import last_line

# A worker that fails before the trial's own code runs: Ray keeps the text of the cause and not its type.
DATA_LOST = ("ObjectLostError", "ObjectFetchTimedOutError", "OwnerDiedError", "ObjectFreedError")


def worker_death(
    error: Exception | None, *, machine: str = "", alive: Collection[str] = (), killed_by_kernel: bool = False
) -> Failure:
    """The failure of a worker that died, or said that it is broken.

    `machine` is its address, empty where unknown; `alive` those that run.
    """
    if isinstance(error, RayTaskError) and isinstance(error.cause, WorkerBrokenError):
        return Failure(**error.cause.args[0])
    state, cause = _cause(error, machine_gone=bool(machine) and machine not in alive, killed_by_kernel=killed_by_kernel)
    return Failure(
        state=state,
        reason=f"{state}: {cause}",
        traceback="" if error is None else str(error),
        transient=True,
        machine=machine,
        worker_died=True,
    )


def _cause(error: Exception | None, *, machine_gone: bool, killed_by_kernel: bool) -> tuple[str, str]:
    if isinstance(error, OutOfMemoryError):
        return OUT_OF_MEMORY, "Ray's memory monitor ended its worker process"
    if killed_by_kernel:
        return OUT_OF_MEMORY, "the kernel ended its worker process"
    text = str(error)
    began = isinstance(error, RayActorError) and error.actor_init_failed
    lost = isinstance(error, RayTaskError) and isinstance(error.cause, ObjectLostError)
    if lost or (began and any(name in text for name in DATA_LOST)):
        return DATA_ERROR, "its data set could not be fetched"
    if began:
        return FAILED, last_line(text)
    if machine_gone:
        return LOST, "its machine is gone"
    return LOST, "its worker process died"


def kernel_kills() -> int:
    """How many processes this machine's kernel has ended for memory; 0 where it does not say."""
    try:
        with open("/proc/vmstat", encoding="ascii") as lines:  # noqa: PTH123  # a file of the kernel's, no path of ours
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
