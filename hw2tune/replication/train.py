"""The trainings behind replicates, each under a key of all that it depends on: read once, trained if missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import metadata
from itertools import chain, count

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners, ReplicationStarted
from hw2tune.execution.request import Connection
from hw2tune.records.replicates import (
    Replicate,
    ReplicatesFolder,
    Training,
    chosen_blindly,
    read_training,
    training_key,
    write_training,
)
from hw2tune.records.trials.states import COMPLETE, DIVERGED
from hw2tune.replication.course import Course, Place
from hw2tune.replication.splits import NONE, Splits
from hw2tune.resources import Capacity
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, listed
from hw2tune.train.task import Job, PublishedEvaluation, Task, TrialData
from hw2tune.user_code.files import code_digest, code_reference, is_code

# Of the code that trains. Raise it (any other text will do) where a change of code or of a default value changes a
# result: tests/train/test_golden_curves.py says so. The first is the digest that 83dc8fd made of its source files.
TRAINING_VERSION = "0fe5ec21ca306c67"


def key_of(task: Task, data: Dataset, capacity: Capacity, **more: str) -> str:
    """Return a digest of everything that a training depends on: the same key, the same training."""
    depends_on = {
        "task": asdict(task) | {"hyperparameters": task.hyperparameters.as_given(), "code": code_digest(task.code)},
        "data": data.checksum,
        "split": data.split_checksum,
        "normalisation": [data.info.mean, data.info.std],
        "code": TRAINING_VERSION,
        "torch": metadata.version("torch"),
        "device": "cuda" if capacity.gpus_per_trial else "cpu",  # the two draw different dropout from one seed
    }
    # Packages of a network and an objective. Python files of the study are in the key themselves, and a version of
    # torchvision belongs to one of torch.
    named = [code_reference(text) for text in (task.model, task.objective) if is_code(text)]
    modules = {one.module.partition(".")[0] for one in named if one.file is None} - {"torchvision"}
    if modules:
        names = sorted({name for module in modules for name in _distributions().get(module, ())})
        depends_on["packages"] = {name: metadata.version(name) for name in names}
    return training_key(depends_on | more)


_distributions = cache(metadata.packages_distributions)  # reading them takes a tenth of a second


@dataclass
class Tally:
    """Trainings of one command: the numbers of those that begin, and of how many are finished."""

    numbers: Iterator[int] = field(default_factory=count)
    finished: int = 0
    told: bool = False  # that trainings begin, if only that all were there


@dataclass(frozen=True, kw_only=True)
class Context:
    """State shared by all trainings of one study. `trainings`, by key, are those read or trained so far, whose weights
    are on disk alone.

    `data` are the images in the study's own split.
    """

    study: Study
    folder: ReplicatesFolder
    data: Dataset
    connection: Connection
    tell: Listeners
    splits: Splits = NONE
    trainings: dict[str, Training] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def capacity(self) -> Capacity:
        """The number of trainings in parallel, and their resources; after the first, machines may have gone."""
        if self.tally.finished:
            return self.connection.cluster().capacity(at_most=True)
        return self.connection.capacity()

    def now(self) -> Capacity:
        """Return the capacity of the machines that are there now, which may have become fewer than asked for."""
        return self.connection.cluster().capacity_now(at_most=True)

    def facts(self, split: int) -> Dataset:
        """Return the data set in a split, of which only the study's own has its training and validation images."""
        return self.splits.facts[split] if split else self.data

    def trial_data(self, split: int = 0) -> TrialData:
        """Return the images of a training on a split."""
        data = self.data
        if split:
            assert self.splits.images is not None, "no training on a split that was not drawn"
            data = self.splits.images(split)
        return TrialData(info=data.info, train=data.train, validation=data.validation)

    def started(self, missing: int, *, cached: int, capacity: Capacity, claims: str = "", race: int = 0) -> None:
        """Tell that so many trainings begin."""
        done, self.tally.told = self.tally.finished, True
        self.tell(
            ReplicationStarted(
                study=self.study, total=done + missing, cached=cached, capacity=capacity, claims=claims, done=done,
                folder=str(self.folder.root.parent), race=race,
            )
        )  # fmt: skip

    def train(
        self,
        jobs: Iterator[Job | None],
        capacity: Capacity,
        *,
        over: Callable[[], bool] = lambda: False,
        published: PublishedEvaluation | None = None,
    ) -> Iterator[Training]:
        """Train jobs as `execution.tasks.train_all` does; yield each training to be written."""
        from hw2tune.execution.tasks import train_all

        for training in train_all(
            jobs, self.trial_data, capacity, self.tell, now=self.now, numbers=self.tally.numbers, over=over,
            published=published,
        ):  # fmt: skip
            self.tally.finished += 1
            yield training

    def keep(self, training: Training) -> None:
        """Write a training to disk."""
        write_training(self.folder.trainings, training)
        self.trainings[training.key] = replace(training, arrays={})

    def kept(self, key: str) -> Training | None:
        """Return the training of a key, without its weights; None if it is not on disk, or damaged there."""
        if key not in self.trainings and (training := read_training(self.folder.trainings, key)) is not None:
            self.trainings[key] = replace(training, arrays={})
        return self.trainings.get(key)


def train_missing(context: Context, jobs: Collection[Job], claims: str = "") -> list[Training]:
    """Return the training of each job. Jobs of one key are one training; Ray starts only if one is missing.

    `claims` says for which claims the trainings are, see `ReplicationStarted`.
    """
    keyed, missing = _missing(context, jobs, context.capacity)
    _note_blind(context, missing)
    if missing:  # a key names its device, and Ray may see other devices than this process
        context.connection.cluster()
        keyed, missing = _missing(context, jobs, context.capacity)
    capacity, keys = context.capacity, {job.key for job in keyed}
    if missing or not context.tally.told:
        context.started(len(missing), cached=len(keys) - len(missing), capacity=capacity, claims=claims)
    for training in context.train(iter(missing), capacity) if missing else ():
        context.keep(training)
    return [context.trainings[job.key] for job in keyed]


def train_race(context: Context, course: Course, job: Callable[[Place], Job]) -> None:
    """Train what a race wants, and in idle slots what it will most likely want; Ray starts only if one is missing."""
    objective, places = context.study.objective, dict[str, Place]()

    def missing(course: Course, capacity: Capacity) -> Job | None:
        """Return the next training to begin; the course learns those that are there."""
        while (place := course.begin()) is not None:
            (one,), to_train = _missing(context, [job(place)], capacity)
            if to_train:
                places[one.label] = place
                return one
            course.learn(place, context.trainings[one.key].value(objective))
        return None

    def begin() -> Job | None:
        if (one := missing(course, capacity)) is not None:
            _note_blind(context, [one])
        return one

    if missing(deepcopy(course), context.capacity) is not None:
        context.connection.cluster()  # as above
    capacity = context.capacity
    if (first := begin()) is None:
        return
    at_most, there = course.known.limit, len(course.values)
    context.started(at_most - there, cached=there, capacity=capacity, race=len(course.known.search))
    jobs = chain([first], iter(begin, False))  # asked for the next as a slot is free
    for training in context.train(jobs, capacity, over=lambda: not course.wanted):
        context.keep(training)
        course.learn(places[training.label], training.value(objective))
    if unused := course.unused:
        ahead, kept = counted(len(unused), "training"), len(unused & course.values.keys())
        context.tell.note(
            f"{context.study.name}: the race did not need {ahead} begun ahead in idle slots; {kept} finished, and kept"
        )


def _missing(context: Context, jobs: Collection[Job], capacity: Capacity) -> tuple[list[Job], list[Job]]:
    """Return the jobs with their keys, and those whose training is missing or chose its epoch blindly."""
    objective = context.study.objective
    keyed = [replace(job, key=key_of(job.task, context.facts(job.split), capacity)) for job in jobs]
    unique = {job.key: job for job in keyed}
    kept = {key: one for key in unique if (one := context.kept(key)) is not None}
    sound = {key for key, one in kept.items() if not chosen_blindly(one.epochs, one.chosen_epoch, objective)}
    return keyed, [job for key, job in unique.items() if key not in sound]


def _note_blind(context: Context, jobs: Collection[Job]) -> None:
    if blind := [job.label for job in jobs if job.key in context.trainings]:
        context.tell.note(
            f"{listed(blind)}: trained again, as version 0.1 chose an epoch without a finite {context.study.objective}"
        )


def replicate_of(study: Study, variant: str, task: Task, training: Training, *, key: str) -> Replicate:
    """Return a training as a replicate of a variant, without evaluations."""
    return Replicate(
        study=study.name,
        variant=variant,
        seed=task.seed,
        params=task.hyperparameters.as_dict(),
        model=study.model,
        loss=study.loss,
        state=DIVERGED if training.diverged else COMPLETE,
        reason=training.diverged,
        epochs=training.epochs,
        chosen=None,
        last=None,
        seconds=training.seconds,
        key=key,
    )
