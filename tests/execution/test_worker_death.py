"""Causes of death, from the errors that Ray has for them."""

import pickle

import pytest
from ray.exceptions import ActorDiedError, ObjectLostError, RayActorError, RayTaskError

from hw2tune.execution.trainable import worker_death
from hw2tune.execution.tune import _error_of
from hw2tune.execution.workarounds import WorkerOutOfMemoryError

BROKEN = RuntimeError("no torch here")


class Trial:
    """What of Tune's trial is looked at."""

    def __init__(self, file: str | None) -> None:
        self.pickled_error_file = file


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("setup", f"Traceback ...\n{type(cause).__name__}: {cause}", cause)


NODE_DIED = RayActorError(error_msg="The actor died because its node has died. Node Id: 4f")
LOST_DATA = task_error(ObjectLostError("00" * 28, None, ""))


@pytest.mark.parametrize(
    ("error", "kernel", "gone", "reason"),
    [
        (WorkerOutOfMemoryError("low"), False, False, "out of memory: Ray's memory monitor ended its worker process"),
        (ActorDiedError(), True, False, "out of memory: the kernel ended its worker process"),
        (ActorDiedError(), False, False, "lost: its worker process died"),
        (ActorDiedError(), False, True, "lost: its machine is gone"),
        (NODE_DIED, False, False, "lost: its machine is gone"),  # Ray may tell it before its list of nodes does
        (None, False, False, "lost: its worker process died"),
        (RayActorError(), False, False, "lost: its worker process died"),
        (ActorDiedError(task_error(BROKEN)), False, False, "failed: RuntimeError: no torch here"),
        (LOST_DATA, False, False, "data error: its data set could not be fetched"),
    ],
)  # fmt: skip
def test_each_death_has_its_reason(error, kernel, gone, reason):
    failure = worker_death(error, machine="a", gone=gone, killed_by_kernel=kernel)
    assert (failure.reason, failure.transient, failure.worker_died) == (reason, True, True)
    assert failure.machine_died == ("machine is gone" in reason)


def test_the_error_is_read_where_tune_has_written_it(tmp_path):
    file = tmp_path / "error.pkl"
    file.write_bytes(pickle.dumps(WorkerOutOfMemoryError("low on memory")))
    assert isinstance(_error_of(Trial(str(file))), WorkerOutOfMemoryError)
    assert _error_of(Trial(None)) is None
