"""Trainings as Ray tasks: as many at once as fit, each epoch an event."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray

from hw2tune.errors import TrainingFailedError
from hw2tune.events import Listeners, TrainingEpochFinished, TrainingFinished, TrainingStarted
from hw2tune.records.replicates import Training
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.resources import Capacity
from hw2tune.text.plain import last_line
from hw2tune.train.task import Job, PublishedEvaluation, Task, TrialData
from hw2tune.user_code.importer import in_words

Replicate = tuple[str, int]  # variant and seed


def train_all(
    jobs: Sequence[Job],
    data: Callable[[int], TrialData],
    capacity: Capacity,
    tell: Listeners,
    *,
    published: PublishedEvaluation | None = None,
) -> Iterator[Training]:
    """Train every job; yield each training when it ends, in any order, with the key and the label of its job.

    `data` returns the images of a split; jobs of one split stand together, so that few of them are in memory. With
    `published` the epochs carry both evaluations (`Trainer.train_as_published`), and no weights are kept.
    """
    shared: dict[int, Any] = {}  # the images of the split whose jobs begin; running jobs keep their own
    remote = ray.remote(max_retries=2, num_returns="streaming", **capacity.options)(_stream)
    waiting = deque(enumerate(jobs))
    live: dict[Any, tuple[int, Job]] = {}  # by the stream of its results
    while waiting or live:
        while waiting and len(live) < capacity.same_device:
            number, job = waiting.popleft()
            tell(TrainingStarted(training=number, label=job.label, params=job.task.hyperparameters.as_dict()))
            if job.split not in shared:
                shared = {job.split: ray.put((data(job.split), published))}
            stream = remote.remote(job.task, shared[job.split], capacity.threads, capacity.gpus_per_trial > 0)
            live[stream] = number, job
        ready, _ = ray.wait(list(live), num_returns=1, timeout=5)
        for stream in ready:
            number, job = live[stream]
            try:
                item = ray.get(next(stream))
            except StopIteration:
                del live[stream]
                continue
            except ray.exceptions.RayError as error:
                raise _failed(job.label, "training", error) from error
            if isinstance(item, Training):
                yield replace(item, key=job.key, label=job.label)  # the caller writes it to disk
                tell(TrainingFinished(row=_row(number, job, item)))
            else:
                tell(TrainingEpochFinished(training=number, record=item))


def run_each(
    function: Callable[..., Any], calls: Mapping[Replicate, Sequence[Any]], shared: Any, capacity: Capacity
) -> Iterator[tuple[Replicate, Any]]:
    """Run `function(shared, *arguments)` in workers for each of `calls`; yield replicate and result as they end.

    `shared` travels once. Raises TrainingFailedError, naming the replicate.
    """
    reference = ray.put(shared)
    remote = ray.remote(**capacity.options)(function)
    pending = {remote.remote(reference, *arguments): key for key, arguments in calls.items()}
    while pending:
        (ready, *_), _ = ray.wait(list(pending), num_returns=1)
        variant, seed = pending.pop(ready)
        try:
            result = ray.get(ready)
        except ray.exceptions.RayError as error:
            raise _failed(f"{variant} seed {seed}", "test", error) from error
        yield (variant, seed), result


def _failed(label: str, what: str, error: ray.exceptions.RayError) -> TrainingFailedError:
    """The error of a worker that died, in Ray's words, or of what ran in it, in its own (`told`)."""
    cause = getattr(error, "cause", None)
    words = str(cause) if isinstance(cause, TrainingFailedError) else last_line(error)
    return TrainingFailedError(
        f"{label}: its {what} failed ({words}); what is finished is kept, run the same command again"
    )


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
