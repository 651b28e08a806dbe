"""Trainings and tests as Ray tasks: as many at once as fit, each epoch an event.

Machines come and go: how many fit is asked under way, and what is lost with its worker or machine begins again.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)

from hw2tune.errors import ResourceError, TrainingFailedError
from hw2tune.events import (
    Listeners,
    TrainingEpochFinished,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from hw2tune.records.replicates import Training
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.resources import Capacity, without_advice
from hw2tune.search.failures import MACHINES
from hw2tune.text.plain import last_line
from hw2tune.train.task import Job, PublishedEvaluation, Task, TrialData
from hw2tune.user_code.importer import in_words

EVERY = 2.0  # seconds from one question for the capacity to the next, a call over the network
DEATHS = 3  # of workers in one training: it is then the training that ends them
# Errors of Ray for what may go well elsewhere, with our words for it; `MACHINE_GONE` says nothing of the training.
MACHINE_GONE = {NodeDiedError: "its machine is gone", LocalRayletDiedError: "its machine is gone"}
LOST = MACHINE_GONE | {
    OutOfMemoryError: "Ray's memory monitor ended its worker process",
    WorkerCrashedError: "its worker process died",
    ObjectLostError: "its result was lost with its machine",
}
Replicate = tuple[str, int]  # variant and seed


def train_all(
    jobs: Iterator[Job | None],
    data: Callable[[int], TrialData],
    capacity: Capacity,
    tell: Listeners,
    *,
    now: Callable[[], Capacity],
    numbers: Iterator[int],
    over: Callable[[], bool] = lambda: False,
    published: PublishedEvaluation | None = None,
) -> Iterator[Training]:
    """Train jobs; yield each training when it ends, in any order, with the key and the label of its job.

    A job is taken from `jobs` when a slot is free; None stands for none before another training ends. Once `over()`
    says so, the trainings that still run are ended without a result. All run on the device of `capacity`, as many at
    once as fit `now()`; events have `numbers`.

    `data` returns the images of a split; jobs of one split stand together, so that few of them are in memory. With
    `published` the epochs carry both evaluations (`Trainer.train_as_published`), and no weights are kept.
    """
    shared: dict[int, Any] = {}  # the images of the split whose jobs begin; running jobs keep their own

    def call(job: Job) -> _Call:
        number, params = next(numbers), job.task.hyperparameters.as_dict()

        def begin() -> tuple[Any, ...]:
            nonlocal shared
            tell(TrainingStarted(training=number, label=job.label, params=params))
            if job.split not in shared:
                shared = {job.split: ray.put((data(job.split), published))}
            return job.task, shared[job.split], capacity.threads, capacity.gpus_per_trial > 0

        return _Call(label=job.label, what="training", begin=begin, of=(number, job), last=Training)

    def stopped(call: _Call, text: str) -> None:
        tell(TrainingStopped(training=call.of[0], text=text))

    calls = (None if job is None else call(job) for job in jobs)
    for ready, item in _in_workers(_stream, calls, _Slots(capacity, now, tell), stopped, over):
        number, job = ready.of
        if isinstance(item, Training):
            yield replace(item, key=job.key, label=job.label)  # the caller writes it to disk
            tell(TrainingFinished(row=_row(number, job, item)))
        else:
            tell(TrainingEpochFinished(training=number, record=item))


def run_each(
    function: Callable[..., Any],
    calls: Mapping[Replicate, Callable[[], Sequence[Any]]],
    shared: Any,
    capacity: Capacity,
    tell: Listeners,
    *,
    now: Callable[[], Capacity],
) -> Iterator[tuple[Replicate, Any]]:
    """Run `function(shared, *arguments)` in workers for each of `calls`; yield replicate and result as they end.

    `shared` travels once. The arguments of a call, which returns them, may be large: it is called when a slot is free.
    Raises TrainingFailedError, naming the replicate.
    """
    reference = ray.put(shared)

    def call(run: Replicate) -> _Call:
        label = f"{run[0]} seed {run[1]}"
        return _Call(label=label, what="test", begin=lambda: (function, reference, *calls[run]()), of=run)

    slots = _Slots(capacity, now, tell)
    pending = map(call, calls)
    for ready, result in _in_workers(_once, pending, slots, lambda _, text: tell.note(text), lambda: False):
        yield ready.of, result


def _once(function: Callable[..., Any], shared: Any, *arguments: Any) -> Iterator[Any]:
    yield function(shared, *arguments)


@dataclass(kw_only=True)
class _Call:
    """A call in a worker; `begin` is called when it has a slot, and returns its arguments."""

    label: str
    what: str
    begin: Callable[[], tuple[Any, ...]]
    of: Any
    last: type = object  # of what it yields at its end
    deaths: int = 0  # of workers under it
    machines: int = 0  # that died under it


class _Slots:
    """Slots on the device of a capacity, by what is there now."""

    def __init__(self, capacity: Capacity, now: Callable[[], Capacity], tell: Listeners) -> None:
        self.capacity, self.latest, self.ask, self.tell = capacity, capacity, now, tell
        self.number, self.asked = capacity.same_device, time.monotonic()

    def look(self) -> int:
        """Return their number, at most EVERY seconds old; 0 while no machine is there."""
        if time.monotonic() - self.asked < EVERY:
            return self.number
        before, why = self.number, "none has the device of the trainings so far"
        try:
            self.latest = self.ask()
            self.number = self.latest.gpu_slots if self.capacity.gpu_slots else self.latest.cpu_slots
        except ResourceError as error:
            self.number, why = 0, without_advice(error)
        if before and not self.number:
            self.tell.note(f"no machine is left to train on ({why}); waiting for one to join, Ctrl-C ends the command")
        self.asked = time.monotonic()
        return self.number

    @property
    def options(self) -> dict[str, Any]:
        """The options of a Ray task in one of them."""
        return self.capacity.options | {"label_selector": self.latest.selector}


def _in_workers(
    function: Callable[..., Iterator[Any]],
    calls: Iterator[_Call | None],
    slots: _Slots,
    stopped: Callable[[_Call, str], None],
    over: Callable[[], bool],
) -> Iterator[tuple[_Call, Any]]:
    """Call a function in workers, and yield what it yields; a call that is lost with its worker begins again."""
    again = deque[_Call]()
    live: dict[Any, _Call] = {}  # by the stream of its results
    remote = ray.remote(max_retries=0, num_returns="streaming")(function)  # one, as Ray lends its workers to each
    while not over():
        while len(live) < slots.look() and (call := again.popleft() if again else next(calls, None)):
            live[remote.options(name=call.what, **slots.options).remote(*call.begin())] = call
        if not live and not again:  # perhaps for want of a slot
            if (call := next(calls, None)) is None:
                return
            again.append(call)
        if not live:
            time.sleep(EVERY)
            continue
        for stream in ray.wait(list(live), num_returns=1, timeout=EVERY)[0]:
            call = live[stream]
            try:
                item = ray.get(next(stream))
            except RayError as error:
                del live[stream]
                why = _why(call, error)
                stopped(call, f"{call.label}: {why}; its {call.what} begins again")
                again.append(call)
                continue
            if isinstance(item, call.last):
                del live[stream]
            yield call, item
    for stream, call in live.items():
        ray.cancel(stream)
        stopped(call, "")


def _why(call: _Call, error: RayError) -> str:
    """Return how a call was lost, if it may go well elsewhere. Raises TrainingFailedError for what would not."""
    why = next((words for kind, words in LOST.items() if isinstance(error, kind)), "")
    gone = isinstance(error, tuple(MACHINE_GONE))
    call.machines, call.deaths = call.machines + gone, call.deaths + (not gone)
    if why and call.deaths < DEATHS and call.machines <= MACHINES:
        return why
    cause = getattr(error, "cause", None)
    words = str(cause) if isinstance(cause, TrainingFailedError) else last_line(error)
    words = f"{why}, {call.machines if gone else call.deaths} times" if why else words
    raise TrainingFailedError(
        f"{call.label}: its {call.what} failed ({words}); what is finished is kept, run the same command again"
    ) from error


@contextlib.contextmanager
def told(code: Mapping[str, str]) -> Iterator[None]:
    """In a worker: an error as text, with file and line of the study's `code`. Raises TrainingFailedError."""
    try:
        yield
    except Exception as error:  # the user's network and objective may raise anything
        raise TrainingFailedError(in_words(error, code)) from error


def _stream(task: Task, shared: tuple[TrialData, PublishedEvaluation | None], threads: int, gpu: bool) -> Iterator[Any]:
    """In the worker: each epoch's record, then the Training."""
    from hw2tune.train.device import on_device
    from hw2tune.train.trainer import Trainer

    data, published = shared
    with told(task.code):
        trainer = Trainer(data, threads=threads, gpu=gpu)
        if published is None:
            result = yield from trainer.train(task)
        else:
            held_out = on_device(published.test, data.info, trainer.device)
            evaluated = trainer.data.train if published.evaluated == "train" else held_out
            result = yield from trainer.train_as_published(task, evaluated, held_out)
        yield result


def _row(number: int, job: Job, finished: Training) -> TrialRow:
    best = next((e for e in finished.epochs if e["epoch"] == finished.chosen_epoch), None)
    last = finished.epochs[-1] if finished.epochs else {}
    return TrialRow(
        number=number,
        label=job.label,
        state=DIVERGED if finished.diverged else COMPLETE,
        reason=finished.diverged,
        epochs=len(finished.epochs),
        value=best[job.task.objective] if best else last.get("held_out_accuracy"),
        best_epoch=finished.chosen_epoch,
        seconds=finished.seconds,
        params=finished.params,
    )
