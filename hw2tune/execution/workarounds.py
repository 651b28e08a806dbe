"""Workarounds for Ray 2.60, each in force while Ray is connected or Tune runs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray._private.node
import ray._private.serialization
import ray._private.services
import ray._private.utils
import ray._private.worker
from ray.exceptions import OutOfMemoryError, RayActorError

from hw2tune.interrupt import ENDING


class WorkerOutOfMemoryError(OutOfMemoryError, RayActorError):  # type: ignore[misc]  # Ray ships no types
    """A worker ended by Ray's memory monitor: to Tune a dead worker, as one that the kernel ended is."""

    def __init__(self, message: str) -> None:
        RayActorError.__init__(self, error_msg=f"OutOfMemoryError: {message}")
        self.message = message

    def __str__(self) -> str:
        return str(self.error_msg)


@contextlib.contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """For the length of a `with`, `owner.name` is `value`."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """For the length of a `with`.

    The memory monitor's kill arrives as an OutOfMemoryError, which is no RayActorError; Tune's controller expects
    nothing else and ends the whole study. And a dead worker is reported on stdout by Ray, although
    `log_to_driver=False`; the study tells it in its own.
    """
    with (
        patched(ray._private.serialization, "OutOfMemoryError", WorkerOutOfMemoryError),
        patched(ray._private.worker, "print_worker_logs", _do_nothing),
    ):
        yield


def _do_nothing(*_: object, **__: object) -> None: ...


class OutOfReach(ray._private.services.ConsolePopen):  # type: ignore[misc]  # Ray ships no types
    """A process of Ray's that only its parent can end, or its parent's death, which Ray has the kernel see to.

    It is in a session of its own, so that a signal to the process group (`timeout`, a terminal that is closed) does not
    reach it, and blocks every signal that systemd and SLURM send to all processes that they find.
    """

    def __init__(self, *arguments: Any, preexec_fn: Callable[[], None], **more: Any) -> None:
        def prepare() -> None:
            preexec_fn()
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

        super().__init__(*arguments, preexec_fn=prepare, start_new_session=True, **more)

    def kill(self) -> None:
        """End it at once, with all that it has started: nothing of it is kept, and Ray's agents would linger."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    terminate = kill


START = 60.0  # seconds that a worker takes to start on a busy machine

# It reads a pipe from the raylet, to its end. No shell does: Debian's lets the signals through that OutOfReach blocks.
NO_AGENT = (sys.executable, "-ISc", "open(0).read()")


@contextlib.contextmanager
def for_one_command() -> Iterator[list[OutOfReach]]:
    """For the length of a `with`, `ray.init` starts no dashboard, autoscaler, log monitor, and the rest out of reach.

    Yields the rest, as it is started.

    It starts and awaits all three with any setting (`include_dashboard=False` keeps a server without pages), and
    ends them one by one. A Ray of one command on one machine has nobody to ask the first, no machine to add by the
    second, and `log_to_driver=False` leaves the third nothing to do. The other processes would die first of a signal
    that was meant for us, and this process wait for them for a minute instead of ending in order.
    """
    node, started = ray._private.node.Node, list[OutOfReach]()

    def start(command: Sequence[str], **options: Any) -> OutOfReach:
        started.append(OutOfReach(_awaiting_no_agent(command), **options))
        return started[-1]

    with (
        patched(ray._private.services, "ConsolePopen", start),
        patched(node, "start_api_server", _do_nothing),
        patched(node, "start_monitor", _do_nothing),
        patched(node, "start_log_monitor", _do_nothing),
    ):
        yield started


def _awaiting_no_agent(command: Sequence[str]) -> list[str]:
    """Return Ray's command with what lets its raylet start without waiting for its agents; any but the raylet's as is.

    Ray 2.60's raylet ends if an agent has not told its port within 15 s, which no setting changes, and on a busy
    machine importing one takes longer. The dashboard's agent has nobody to serve here: in its place NO_AGENT sleeps
    until the raylet is gone, and -1 is its port as in a Ray without dashboard. The runtime environments' gets its port.
    """
    if Path(command[0]).name != "raylet":
        return list(command)
    ours: dict[str, object] = {
        "--metrics-agent-port": -1,
        "--metrics_export_port": -1,
        "--dashboard_agent_listen_port": -1,
        "--runtime_env_agent_port": (port := free_port()),
        "--dashboard_agent_command": subprocess.list2cmdline(NO_AGENT),
    }
    kept = [word for word in command if word.partition("=")[0] not in ours]
    told = [word.replace("--runtime-env-agent-port=0", f"--runtime-env-agent-port={port}") for word in kept]
    return told + [f"{name}={value}" for name, value in ours.items()]


def free_port() -> int:
    """Return a free port below those that the kernel gives to whoever asks for any."""
    for port in random.Random().sample(range(10_000, 32_768), 100):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("", port))
            return port
    return 0


@contextlib.contextmanager
def tune_adapted(
    more: Callable[[], bool], yet: Callable[[], bool], leaving: Callable[[str], bool] = lambda trial_id: False
) -> Iterator[None]:
    """For the length of a `with`, `Tuner.fit` does five things otherwise.

    It installs no signal handlers: Ray 2.60 replaces SIGUSR1's whatever `TUNE_DISABLE_SIGINT_HANDLER` says; the study
    would end unknown to its driver.

    Trials run in the workers that Ray has started already. Tune gives its trials an environment of their own
    (`PL_DISABLE_FORK`, for a library that is not used here), so Ray starts a new process for each and leaves its idle
    ones, with all they have imported, unused.

    A trial whose worker is starting waits for it, as long as there are `more` to give, and for START seconds as long as
    there may `yet` be. Tune gives such a trial the next worker that is free, and ends the one that was about to be
    there. Where trials are over sooner than workers start, that keeps slots empty for a whole study, a machine that has
    joined unused, and Ray starting processes for them. The free worker takes a new trial as well; once there are none,
    Tune's way is right: the worker may never come.

    Workers without a trial stay as long as trials may `yet` be given: `_idle_workers`.

    A worker whose machine is `leaving` gets no further trial: it would keep the machine.
    """
    import ray.tune.tune
    from ray.tune.execution import tune_controller
    from ray.tune.execution.class_cache import _ActorClassCache
    from ray.tune.execution.tune_controller import TuneController

    reuse, keep = TuneController._maybe_reuse_cached_actor, TuneController._maybe_cache_trial_actor

    def get(cache: Any, trainable: Any) -> Any:
        return cache._cache.setdefault(trainable, ray.remote(trainable))

    starting = dict[str, float]()  # the time when a trial's worker was first seen to start

    def reuse_for_new(controller: Any, trial: Any) -> bool:
        if trial in controller._trial_to_actor:
            seconds = time.monotonic() - starting.setdefault(trial.trial_id, time.monotonic())
            if more() or (seconds < START and yet()):
                return False
        return bool(reuse(controller, trial))

    last_trial = dict[Any, str]()  # of a worker

    def keep_if_it_stays(controller: Any, trial: Any) -> bool:
        last_trial[controller._trial_to_actor[trial]] = trial.trial_id
        return not leaving(trial.trial_id) and bool(keep(controller, trial))

    def leaves(worker: Any) -> bool:
        return worker in last_trial and leaving(last_trial[worker])

    with (
        patched(ray.tune.tune, "_setup_signal_catching", threading.Event),
        patched(TuneController, "_maybe_cache_trial_actor", keep_if_it_stays),
        patched(_ActorClassCache, "get", get),
        patched(TuneController, "_maybe_reuse_cached_actor", reuse_for_new),
        patched(tune_controller, "_ObjectCache", _idle_workers(tune_controller._ObjectCache, yet, leaves)),
    ):
        yield


def _idle_workers(cache: Any, yet: Callable[[], bool], leaves: Callable[[Any], bool]) -> type[Any]:
    """Return Tune's cache of workers without a trial, by the slots that they hold, as one that keeps them all.

    Tune keeps one. Where decisions wait for a result, or two trials end at once, it ends the others, and each takes ten
    seconds to start anew. They are kept while trials may `yet` be given, unless one is wanted in a slot that no worker
    holds: they would keep its resources. One that `leaves` with its machine is ended.
    """

    class IdleWorkers(cache):  # type: ignore[misc]  # Ray ships no types
        def stay(self) -> bool:
            wanted = [slot for slot, count in self._max_num_objects.items() if count > 0]
            return all(map(self.has_cached_object, wanted)) and yet()

        def cache_object(self, key: Any, obj: Any) -> bool:
            if not self.stay():
                return bool(super().cache_object(key, obj))
            self._cached_objects[key].append(obj)
            self._num_cached_objects += 1
            return True

        def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
            for workers in self._cached_objects.values():
                for worker in list(filter(leaves, workers)):
                    workers.remove(worker)
                    self._num_cached_objects -= 1
                    yield worker
            asked = self._num_cached_objects > 0 and not force_all  # whether more may come takes time to know
            if not (asked and self.stay()):
                yield from super().flush_cached_objects(force_all)

    return IdleWorkers
