"""The look ahead of a search: network, notes, refusals and plan, in `check` as in the first second of `study`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hw2tune.data.dataset import Dataset, refuse_too_large
from hw2tune.data.decoding import cached_files
from hw2tune.errors import ModelError
from hw2tune.events import StudyStarted
from hw2tune.execution.machine import machine_notes
from hw2tune.execution.speeds import ALONE, SECONDS, busy, kept_speeds, probed
from hw2tune.paths import cache_dir, refuse_unwritable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.leftovers import DECODED, leftover
from hw2tune.records.trials.epochs import saved_epoch
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import INTERRUPTED, RUNNING, WAITING
from hw2tune.resources import Capacity
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.search.design import UnitPoint
from hw2tune.study.arms import sides
from hw2tune.study.hyperparameters import Hyperparameters, Value, is_number
from hw2tune.study.names import MODELS
from hw2tune.study.objectives import OBJECTIVES
from hw2tune.study.schema import Study
from hw2tune.study.space import applies
from hw2tune.text.numbers import duration
from hw2tune.train.cadence import seconds_at_risk
from hw2tune.train.task import ProbeRequest, TrialData, task_of

CHECKPOINT_OVERHEAD = 30_000  # bytes beside the numbers: names, generators, the epochs so far
MUCH_DECODED = 1e9  # bytes
COPIES = 4  # of each weight in a checkpoint, at most: itself, Adam's two moments, and after the best epoch
IMAGES = 256  # of the training images, for the pass through the user's network: a batch or more
MOST_NETWORKS = 8
DRAWN = 20  # batch sizes
NOMINAL = "as on an idle Xeon; `hw2tune doctor --machine` measures this machine"


def preflight(
    study: Study,
    folder: StudyFolder,
    rows: list[TrialRow],
    *,
    data: Dataset,
    fresh: bool = False,
    at: Capacity | None = None,
) -> ModelFacts:
    """Facts of the network, with all notes for the user. Raises ModelError as `model_facts`, PathError where study or
    report could not be written, StudyFileError for a sampler or pruner that cannot serve this study, ResourceError for
    images that do not fit into shared memory. `rows` are the trials there, `at` as for `model_facts`.
    """
    facts = model_facts(study, data, at=at)
    for side in sides(study):
        build_sampler(side, 0)
    build_pruner(study)
    splits = (data.train, data.validation, data.test)
    refuse_too_large(data.label, sum(split.images.nbytes + split.labels.nbytes for split in splits))
    refuse_unwritable(folder.root, "results")
    refuse_unwritable(folder.root / "report", "report")
    if fresh and folder.root.exists():
        refuse_unwritable(folder.root.parent / "set-aside", "--fresh")
    caveat = [f"caveat of every figure: {data.caveat}"] if data.caveat else []
    notes = _notes(study, folder, [] if fresh else rows, facts.parameters)
    saving = checkpoint_notes(facts)
    return replace(facts, notes=(*facts.notes, *saving, *notes, *data.notes, *caveat))


def checkpoint_notes(facts: ModelFacts) -> Iterator[str]:
    """Say what a kill can cost where a network is too large to be saved after every epoch."""
    at_risk = seconds_at_risk(4 * COPIES * facts.parameters, facts.epoch_seconds)
    if at_risk > facts.epoch_seconds:
        yield (
            f"the network has {facts.parameters:,} parameters: a trial is saved about every {duration(at_risk)}, and a "
            "kill costs what it has trained since"
        )


def _notes(study: Study, folder: StudyFolder, rows: list[TrialRow], parameters: int) -> Iterator[str]:
    if study.trials_possible < study.trials and study.budget is None:
        yield (
            f"the space holds {len(study.configurations or ())} configurations, and none is trained twice: the study "
            f"is complete after {study.trials_possible} trials, not {study.trials}"
        )
    if study.pruner.name != "none" and study.pruner.min_epochs >= study.max_epochs:
        yield (
            f"the pruner stops no trial: it first looks at epoch {study.pruner.min_epochs} of {study.max_epochs}; "
            "lower pruner.min_epochs"
        )
    yield from machine_notes()
    decoded = sum(one.size for one in leftover(DECODED, "", cached_files()))
    if decoded > MUCH_DECODED:
        place = cache_dir() / "decoded"
        yield f"decoded images take {decoded / 1e9:.1f} GB in {place}; `hw2tune clean --only {DECODED}` frees them"
    left = study.trials_left(len(rows), sum(row.epochs_spent for row in rows))
    weights = 4 * parameters + CHECKPOINT_OVERHEAD
    wanted = left * weights + 2 * COPIES * weights  # of each trial, and two checkpoints of one that runs
    place = next(part for part in (folder.root.absolute(), *folder.root.absolute().parents) if part.exists())
    free = shutil.disk_usage(place).free
    if wanted > free:
        yield (
            f"{place}: {free / 1e6:.1f} MB are free, and {left} trials take about {wanted / 1e6:.1f} MB; the study "
            "will end in order when the disk is full, and go on when there is room"
        )


def make_plan(
    study: Study, folder: StudyFolder, rows: Sequence[TrialRow], *, data: Dataset, capacity: Capacity
) -> StudyStarted:
    """The plan of a run, from its trials so far (`rows`) and the resources."""
    resumed = [row.number for row in rows if row.state in (RUNNING, INTERRUPTED)]
    return StudyStarted(
        study=study,
        finished=[row for row in rows if row.state not in (RUNNING, INTERRUPTED, WAITING)],
        resumed={number: saved_epoch(folder.trial(number)) for number in resumed},
        capacity=capacity,
        dataset=data.label,
        dataset_checksum=data.checksum,
        sizes={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        folder=str(folder.root),
    )


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The number of parameters, the seconds of an epoch and where they are from, and notes for the user."""

    parameters: int
    epoch_seconds: float
    source: str
    notes: tuple[str, ...] = ()


def model_facts(study: Study, data: Dataset, *, at: Capacity | None = None) -> ModelFacts:
    """Facts of a network that hw2tune ships from its table and `doctor --machine`; else from processes that try it.

    They are as many as trials run at once with `at`, whose speed is then measured for a second; without it one, whose
    speed is a rough one. Raises ModelError where the network cannot be trained on these images, naming file and line.
    """
    sizes = (len(data.train), len(data.validation), drawn_batch_sizes(study))
    if (spec := MODELS.get(study.model)) is not None:
        takes, has = (*spec.input_shape, spec.classes), (*data.info.image_shape, len(data.info.classes))
        if takes != has:
            form = "{}x{}x{} in {} classes".format
            raise ModelError(
                f"{spec.name}: takes images of {form(*takes)}, but {data.label} has {form(*has)}; use a network of "
                "your own (`hw2tune new`)"
            )
        if study.objective in OBJECTIVES:
            device = "gpu" if at and at.gpu_slots else "cpu"
            kept = next((one for one in kept_speeds() if (one.model, one.device) == (spec.name, device)), None)
            speed, source = (kept.speed, kept.source) if kept else (spec.nominal, NOMINAL)
            return ModelFacts(parameters=spec.parameters, epoch_seconds=speed.epoch_seconds(*sizes), source=source)
    tasks = [task_of(study, one, study.seed) for one in configurations(study)]
    order, none = np.random.default_rng(0).permutation(len(data.train))[:IMAGES], np.arange(0)
    some = TrialData(info=data.info, train=data.train.take(order), validation=data.train.take(none))
    request = ProbeRequest(tasks=tasks, batch_sizes=batch_sizes(study), data=some, seconds=SECONDS if at else 0.0)
    found = probed(request, at or ALONE)
    return ModelFacts(
        parameters=found.parameters,
        epoch_seconds=found.speed.epoch_seconds(*sizes),
        source=f"measured now{busy(found.share, 'gpu' if at and at.gpu_slots else 'cpu')}",
        notes=found.notes,
    )


def drawn_batch_sizes(study: Study) -> list[int]:
    """Return the batch sizes of references and queue, and DRAWN that each side's space draws, evenly."""
    given = [study.hyperparameters(one).batch_size for one in (*study.references.values(), *study.enqueue)]
    for side in sides(study):
        distribution = side.search_space.distributions.get("batch_size")
        if distribution is not None:
            points = (UnitPoint({"batch_size": (number + 0.5) / DRAWN}) for number in range(DRAWN))
            given += [int(distribution.suggest("batch_size", point)) for point in points]
    return given or batch_sizes(study)


def configurations(study: Study) -> list[Hyperparameters]:
    """References, and the two corners of the space: those that build different networks."""
    return list({str(sorted(one.model.items())): one for one in _extremes(study)}.values())[:MOST_NETWORKS]


def batch_sizes(study: Study) -> list[int]:
    """Return the smallest and the largest batch size of references, queue and space."""
    sizes = {one.batch_size for one in _extremes(study)}
    return [min(sizes), max(sizes)]


def _extremes(study: Study) -> list[Hyperparameters]:
    """References, queue, and of each side the configurations of all smallest or first, and largest or last values."""
    given = [study.hyperparameters(one) for one in (*study.references.values(), *study.enqueue)]
    for side, which in product(sides(study), (0, -1)):
        drawn: dict[str, Value] = {}
        for name, distribution in side.search_space.distributions.items():
            if applies(distribution, drawn):
                values = distribution.extremes()
                drawn[name] = (sorted(values) if all(map(is_number, values)) else values)[which]
        given.append(side.hyperparameters(drawn))
    return given
