"""What Ray 2.60 does and a study cannot live with, mended while Ray is connected or Tune runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import ray
from ray.exceptions import OutOfMemoryError, RayActorError


class WorkerOutOfMemoryError(OutOfMemoryError, RayActorError):  # type: ignore[misc]  # Ray ships no types
    """A worker ended by Ray's memory monitor: to Tune a dead worker, as one that the kernel ended is."""

    def __init__(self, message: str) -> None:
        RayActorError.__init__(self, error_msg=f"OutOfMemoryError: {message}")
        self.message = message

    def __str__(self) -> str:
        return str(self.error_msg)


@contextlib.contextmanager
def mended() -> Iterator[None]:
    """For the length of a `with`.

    The memory monitor's kill arrives as an OutOfMemoryError, which is no RayActorError; Tune's controller expects
    nothing else and ends the whole study. And a dead worker is told on stdout in words of Ray's, although
    `log_to_driver=False`; the study tells it in its own.
    """
    with (
        patch("ray._private.serialization.OutOfMemoryError", WorkerOutOfMemoryError),
        patch("ray._private.worker.print_worker_logs", _do_nothing),
    ):
        yield


def _do_nothing(*_: object, **__: object) -> None: ...


@contextlib.contextmanager
def without_servers() -> Iterator[None]:
    """For the length of a `with`, `ray.init` starts no dashboard, autoscaler and log monitor.

    It starts and awaits all three whatever it is told (`include_dashboard=False` keeps a server without pages), and
    ends them one by one. A Ray of one command on one machine has nobody to ask the first, no machine to add by the
    second, and `log_to_driver=False` leaves the third nothing to do.
    """
    with (
        patch("ray._private.node.Node.start_api_server", _do_nothing),
        patch("ray._private.node.Node.start_monitor", _do_nothing),
        patch("ray._private.node.Node.start_log_monitor", _do_nothing),
    ):
        yield


@contextlib.contextmanager
def idle_workers_used() -> Iterator[None]:
    """For the length of a `with`, trials run in the workers that Ray has started already.

    Tune gives its trials an environment of their own (`PL_DISABLE_FORK`, for a library that is not used here), so Ray
    starts a new process for each and leaves its idle ones, with all they have imported, unused.
    """
    from ray.tune.execution.class_cache import _ActorClassCache

    def get(cache: Any, trainable: Any) -> Any:
        return cache._cache.setdefault(trainable, ray.remote(trainable))

    with patch.object(_ActorClassCache, "get", get):
        yield


@contextlib.contextmanager
def starting_workers_awaited(more: Callable[[], bool]) -> Iterator[None]:
    """For the length of a `with`, a trial whose worker is starting waits for it, as long as there are `more` to give.

    Tune gives such a trial the next worker that is free, and ends the one that was about to be there. Where trials are
    over sooner than workers start, that keeps slots empty for a whole study, and Ray starting processes for them. The
    free worker takes a new trial as well; once there are none, Tune's way is right: the worker may never come.
    """
    from ray.tune.execution.tune_controller import TuneController

    reuse = TuneController._maybe_reuse_cached_actor

    def reuse_for_new(controller: Any, trial: Any) -> bool:
        if more() and trial in controller._trial_to_actor:
            return False
        return bool(reuse(controller, trial))

    with patch.object(TuneController, "_maybe_reuse_cached_actor", reuse_for_new):
        yield
