"""`hw2tune summarize` and `hw2tune reproduce` up to the files that their reports are generated from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from hw2tune.data.dataset import Dataset
from hw2tune.data.splits import overlap
from hw2tune.errors import InterruptedByUserError, StudyFolderError
from hw2tune.events import Listeners, ReplicationFinished
from hw2tune.execution.request import Connection, load_for, undivided_for
from hw2tune.inference.verdicts import Rule
from hw2tune.records.arrays import npz
from hw2tune.records.dataset import keep_images
from hw2tune.records.environment import add_run, planned, runs
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.lock import locked
from hw2tune.records.overview import Overview, find_folder, read_overview
from hw2tune.records.replicates import (
    ReplicatesFolder,
    every_replicate,
    race_winners,
    read_replicates,
    write_current,
    write_replicate,
)
from hw2tune.replication.finalists import refuse_each_finalist, run_each_finalist
from hw2tune.replication.race import candidates
from hw2tune.replication.replicate import run_replicates
from hw2tune.replication.rounds import Rounds, SeedCount
from hw2tune.replication.splits import NONE, Splits, draw_splits
from hw2tune.replication.train import Context, key_of, replicate_of
from hw2tune.study.file import find_study, may_change, parse_study
from hw2tune.study.published import PROTOCOLS, Protocol
from hw2tune.study.schema import Study
from hw2tune.study.splits import split_of_seed
from hw2tune.train.task import Job, PublishedEvaluation, task_of


def chosen_folders(results: Path, names: Sequence[str]) -> list[StudyFolder]:
    """Return the folders of the named studies, or of the only study. Raises StudyFolderError."""
    if names:
        return [find_folder(results, name) for name in names]
    there = study_folders(results)
    if len(there) == 1:
        return there
    known = "it holds none yet; `hw2tune study NAME` makes one"
    if there:
        known = f"it holds {', '.join(folder.name for folder in there)}: name one or several"
    raise StudyFolderError(f"{results}: which study? {known}")


def replicate_studies(
    folders: Sequence[StudyFolder],
    *,
    replicates: int | Literal["auto"] | None,
    race: int,
    data_dir: Path | None,
    connection: Connection,
    tell: Listeners,
    most: int | None = None,
    splits: int | None = None,
    each_finalist: int = 0,
) -> list[Overview]:
    """Train and test the missing replicates of each study, and return the studies. Raises Hw2tuneError.

    `replicates`, `most` and `splits` as in `rounds.SeedCount`; with `each_finalist` the change of a claim is then made
    in each finalist, on so many seeds.
    """
    overviews = [read_overview(folder) for folder in folders]
    for overview in overviews:  # what is refused is refused before Ray's seconds
        _refuse_unfinished(overview, race)
        refuse_each_finalist(overview.study, each_finalist)
        SeedCount.of(overview.study, replicates, most, splits=splits)
    with _interruptible(folders):
        for number, folder in enumerate(folders):
            with locked(folder, tell.note):
                overview = overviews[number] = read_overview(folder, overviews[number])
                study, _ = overview.study, connection.capacity()  # which refuses what will not fit
                count = SeedCount.of(study, replicates, most, overview.compared, splits)
                if overview.compared < study.searches:
                    there = f"{overview.compared} of {study.searches} searches of each arm are complete"
                    tell.note(f"{study.name}: {there}, and only these count")
                data, drawn = _images(folder, study, data_dir, tell, count)
                noted = count.record | before(overview, splits=count.splits)
                context = _begun(folder, study, data, connection, tell, count.seeds(study), noted, drawn)
                claims, fixed = planned(runs(folder), study.claims, count.family)
                rule = Rule(claims=max(1, claims), fixed=fixed)
                run_replicates(context, overview, rounds=Rounds(study, count, rule), race=race)
                if each_finalist:
                    run_each_finalist(context, overview, seeds=each_finalist, race=race)
                tell(ReplicationFinished(folder=str(folder.root)))
    return overviews


def _images(
    folder: StudyFolder, study: Study, data_dir: Path | None, tell: Listeners, count: SeedCount
) -> tuple[Dataset, Splits]:
    """Return the study's images, recorded in its folder, and the further splits asked for, now or before."""
    divide = undivided_for(study, data_dir, tell)
    data = divide(study.split_seed)
    keep_images(folder, data)
    there = (split_of_seed(study, one.seed) for one in every_replicate(ReplicatesFolder.of(folder)))
    return data, draw_splits(study, data, divide, max(int(count.asked), *there, 0) if count.splits else 0)


def _refuse_unfinished(overview: Overview, race: int) -> None:
    """Raise StudyFolderError for a search without a trial that has a value, and for arms without complete searches."""
    if not overview.searches:
        candidates(overview, race)
    elif not overview.compared:
        open_ = next(one for one in overview.searches if not one.is_complete)
        whole, unit = open_.extent
        raise StudyFolderError(
            f"{open_.folder.root}: {open_.done} of {whole} {unit} are finished, and arms are compared on the same "
            f"budget; `hw2tune study {overview.folder.name}` goes on with the search"
        )
    for search in overview.searches[: overview.compared * len(overview.study.arms)]:
        if not search.stand_in:
            candidates(search, race)


def before(overview: Overview, *, splits: bool = False) -> dict[str, Any]:
    """Return the number of replicates that are there, of whatever winner, and if any is, the races' winners.

    With `splits` those on further splits are counted, else those on the study's own.
    """
    every = every_replicate(ReplicatesFolder.of(overview.folder))
    there = sum(bool(split_of_seed(overview.study, one.seed)) is splits for one in every)
    return {"there": there, "winners": race_winners(overview) if every else {}}


def reproduce_published(
    folders: Sequence[StudyFolder],
    *,
    replicates: int,
    max_epochs: int | None,
    data_dir: Path | None,
    connection: Connection,
    tell: Listeners,
) -> None:
    """Repeat the published runs in folders named by `reproduction_name`. Raises Hw2tuneError."""
    with _interruptible(folders):
        for folder in folders:
            with locked(folder, tell.note):
                protocol = PROTOCOLS[folder.name.removeprefix("reproduce-").partition(".")[0]]
                study = parse_study(*find_study(protocol.study), {"max_epochs": max_epochs} if max_epochs else None)
                data = load_for(study, data_dir, tell, validation_size=protocol.validation_size)
                seeds = range(replicates)
                context = _begun(folder, study, data, connection, tell, seeds, SeedCount(replicates).record)
                _run_reproduction(context, protocol, seeds)


def reproduction_name(dataset: str, max_epochs: int | None) -> str:
    """Return the folder's name of a repetition. A shorter try has its own: it must not replace the full run."""
    return f"reproduce-{dataset}" + ("" if max_epochs is None else f".{max_epochs}-epochs")


@contextlib.contextmanager
def _interruptible(folders: Sequence[StudyFolder]) -> Iterator[None]:
    """Count the kept replicates at Ctrl-C. Raises InterruptedByUserError."""
    try:
        yield
    except KeyboardInterrupt:
        done = sum(len(read_replicates(ReplicatesFolder.of(folder))) for folder in folders)
        raise InterruptedByUserError(
            f"interrupted; {done} replicates and every finished training are kept, the same command continues"
        ) from None


def _begun(
    folder: StudyFolder, study: Study, data: Dataset, connection: Connection, tell: Listeners, seeds: Sequence[int],
    noted: Mapping[str, Any], splits: Splits = NONE,
) -> Context:  # fmt: skip
    """Note the run in `environment.json`, and return what its trainings share."""
    capacity = connection.capacity()
    add_run(
        folder,
        tell.note,
        study=may_change(study),
        seeds={"split": data.split_seed, "replicates": list(seeds)},
        replicates={**noted, "splits": splits.records} if splits.records else dict(noted),
        data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
        resources={"at": capacity.text, "trials_at_once": capacity.concurrency},
    )
    return Context(
        study=study, folder=ReplicatesFolder.of(folder), data=data, connection=connection, tell=tell, splits=splits
    )


def _run_reproduction(context: Context, protocol: Protocol, seeds: Sequence[int]) -> None:
    """Train the study's references as published, with the held-out evaluation beside the published one.

    A run that is kept is not trained again.
    """
    study, data, capacity = context.study, context.data, context.capacity
    jobs: dict[str, tuple[str, Job]] = {}  # by key, with the variant
    for seed in seeds:
        for variant in study.references:
            label, task = f"{variant} seed {seed}", task_of(study, study.reference(variant), seed)
            key = key_of(task, data, capacity, reproduction=protocol.evaluated, run=label)
            jobs[key] = (variant, Job(label=label, task=task, key=key))
    write_current(context.folder, jobs)
    kept = {replicate.key for replicate in read_replicates(context.folder)}
    missing = [job for key, (_, job) in jobs.items() if key not in kept]
    context.started(len(missing), cached=len(jobs) - len(missing), capacity=capacity)
    if not missing:
        return
    context.connection.cluster()
    evaluated = data.train if protocol.evaluated == "train" else data.test
    overlaps = overlap(data.train, evaluated) > 0
    published = PublishedEvaluation(test=data.test, evaluated=protocol.evaluated)
    for training in context.train(iter(missing), capacity, published=published):
        variant, job = jobs[training.key]
        record = replicate_of(study, variant, job.task, training, key=training.key)
        if training.epochs:
            last = training.epochs[-1]
            accuracy, total = last["published_test_accuracy"], len(evaluated)
            evaluation = Evaluation(
                split=protocol.evaluated, epoch=last["epoch"], loss=last["published_test_loss"], accuracy=accuracy,
                correct=round(accuracy * total), total=total, overlaps_training=overlaps,
            )  # fmt: skip
            record = replace(record, last=evaluation)
        write_replicate(context.folder, record, npz({}))
