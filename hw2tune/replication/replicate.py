"""Replicates of a study: a race for the winner on validation, then what the claims name on other seeds, tested last.

A training depends on its configuration, seed, data and code alone and is kept under a key of these, so that a second
call trains nothing, and an interrupted one continues. Search, race and claims share no seed: what is lucky in one of
them is not in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.errors import TrainingFailedError
from hw2tune.events import ReplicationFinished
from hw2tune.records.arrays import npz
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.lock import locked
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import (
    FEATURE_IMAGES,
    GALLERY_SIZE,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
    Training,
    every_replicate,
    read_arrays,
    read_race,
    read_replicates,
    read_training,
    write_current,
    write_replicate,
    write_shared,
)
from hw2tune.records.trials.rows import TrialRow
from hw2tune.replication.race import candidates, run_race
from hw2tune.replication.rounds import Rounds
from hw2tune.replication.train import Context, key_of, replicate_of, train_missing, train_race
from hw2tune.study.arms import search_of_seed
from hw2tune.study.hyperparameters import Hyperparameters, Value
from hw2tune.study.names import RACE_EACH
from hw2tune.study.objectives import objective_of
from hw2tune.study.schema import TUNED, Study
from hw2tune.study.splits import seeds_of_splits, split_of_seed
from hw2tune.text.numbers import counted
from hw2tune.train.task import Job, Task, task_of

RACE_SEEDS = 1001  # from the study's own: far after those of any claim
Run = tuple[str, int]  # variant and seed
Winners = Mapping[str, Sequence[Mapping[str, Value]]]  # of each search, by `tuned` or by arm


def run_replicates(context: Context, overview: Overview, *, rounds: Rounds, race: int) -> None:
    """Train and test the missing replicates. The guard has passed the data; the study's folder is locked."""
    study, outcome = overview.study, None
    winners: Winners = {}
    allowed = rounds.count.seeds(study)
    gallery = write_shared_records(context)
    fixed = {name: number for name, number in rounds.seeds.items() if study.variants[name].of in study.references}
    if len(fixed) < len(rounds.seeds):
        train_missing(context, _jobs(study, fixed, allowed, winners).values(), rounds.text)
        if study.arms:
            winners = _winners_of_arms(context, overview, race)
        else:
            outcome = _race(context, overview, race)
            winners = {TUNED: [_winner(outcome)]}
    rounds.begin({name: _configuration(study, name, allowed[0], winners) for name in rounds.seeds})
    counting: set[str] = set()  # keys of replicates
    tested: dict[str, bool] = {}
    while True:
        jobs = _jobs(study, rounds.seeds, allowed, winners)
        trainings = dict(zip(jobs, train_missing(context, jobs.values(), rounds.text), strict=True))
        keys = {run: _key(run, training.key) for run, training in trainings.items()}
        counting = {*keys.values(), *(counting or _usable(context, rounds, winners, tested))}
        write_current(context.folder, counting, outcome)  # first: a kill leaves race and replicates of one winner
        _test(context, jobs, trainings, keys, gallery, tested)
        if not rounds.go_on(context.folder, context.capacity.same_device):
            break
    if rounds.outcome:
        context.tell.note(f"{study.name}: {rounds.outcome}")


def _configuration(study: Study, variant: str, seed: int, winners: Winners) -> Hyperparameters:
    side = study.variants[variant]
    found = winners.get(side.of)
    base = study.references[side.of] if found is None else found[search_of_seed(study, seed)]
    return study.hyperparameters({**base, **side.changes})


def _jobs(study: Study, numbers: Mapping[str, int], seeds: Sequence[int], winners: Winners) -> dict[Run, Job]:
    """Return the training of each variant on each of its first seeds, of which it has a number."""
    return {
        (variant, seed): Job(
            label=f"{variant} seed {seed}",
            task=task_of(study, _configuration(study, variant, seed, winners), seed),
            split=split_of_seed(study, seed),
        )
        for place, seed in enumerate(seeds[: max(numbers.values(), default=0)])
        for variant, number in numbers.items()
        if place < number
    }


def _winners_of_arms(context: Context, overview: Overview, race: int) -> Winners:
    """Run the race of each search that counts, which is kept in the search's folder, and return the winners by arm.

    The first trial of a search of which every one diverged stands for it.
    """
    winners: dict[str, list[Mapping[str, Value]]] = {arm: [] for arm in overview.study.arms}
    for arm, of_arm in winners.items():
        for search in overview.searches_of(arm)[: overview.compared]:
            if search.stand_in:  # there is nothing to choose by
                of_arm.append(search.study.complete(search.stand_in.params))
                continue
            own = replace(context, study=search.study, folder=ReplicatesFolder.of(search.folder), trainings={})
            with locked(search.folder, context.tell.note):
                before, outcome = read_race(own.folder), _race(own, search, race)
                if before is None or before.winner != outcome.winner:
                    write_current(context.folder, [])  # first: those of the winner before count no more
                if before != outcome:
                    write_current(own.folder, [], outcome)
            of_arm.append(search.study.complete(_winner(outcome)))
            context.tell(ReplicationFinished(folder=str(search.folder.root)))
    return winners


def _winner(race: Race) -> Mapping[str, Value]:
    return next(one.params for one in race.candidates if one.trial == race.winner)


def _key(run: Run, training: str) -> str:
    """Return a replicate's key from that of its training."""
    return f"{run[0]} {training}"


def _usable(context: Context, rounds: Rounds, winners: Winners, tested: dict[str, bool]) -> set[str]:
    """Return the keys of further replicates on disk, of these configurations, that count: a verdict reached stays.

    If the number of seeds was fixed there are no others. Those without predictions do not count: no round would test
    them again, and no verdict could be reached with them.
    """
    study, count, splits = context.study, rounds.count, len(context.splits.facts)
    if rounds.rule.fixed is not None or count.family[0] == "search":
        return set()
    of_splits = seeds_of_splits(study, splits, count.each) if count.splits else None

    def counts(one: Replicate) -> bool:
        if one.variant not in rounds.seeds or one.seed <= study.seed or one.chosen_blindly(study.objective):
            return False
        if of_splits is not None and one.seed not in of_splits:
            return False
        if not one.has(objective_of(study.objective).metric):
            return False
        task = task_of(study, _configuration(study, one.variant, one.seed, winners), one.seed)
        data = context.facts(split_of_seed(study, one.seed) if count.splits else 0)
        if one.key != _key((one.variant, one.seed), key_of(task, data, context.capacity)):
            return False
        return read_arrays(context.folder, one.variant, one.seed) is not None

    found = {one.key for one in every_replicate(context.folder) if counts(one)}
    tested |= dict.fromkeys(found, True)
    return found


def _race(context: Context, overview: Overview, race: int) -> Race:
    """Return the race of today's finalists: the one that is there, if it is theirs, or a new one."""
    study, most = overview.study, overview.study.race_trainings
    ended = [row.number for row in overview.finished]
    seeds = [study.seed + RACE_SEEDS + number for number in range(RACE_EACH * race)]

    def job(row: TrialRow, seed: int) -> Job:
        task = task_of(study, study.hyperparameters(row.params), seed)
        return Job(label=f"race: trial {row.number} seed {seed}", task=task)

    earlier = read_race(context.folder)
    for rows in (candidates(overview, race), candidates(overview, race, within_budget=False)):
        # Its rules may be those of an earlier version, in which no budget was for the race.
        if earlier and _same_field(earlier, rows, study.objective, seeds):
            pairs = zip(rows, earlier.candidates, strict=True)
            run = [job(row, seed) for row, one in pairs for seed in seeds[: len(one.values)]]
            values = [training.value(study.objective) for training in train_missing(context, run)] if run else []
            if values == [value for one in earlier.candidates for value in one.values]:
                return replace(earlier, trials=ended)
    rows = candidates(overview, race)
    outcome = run_race(
        rows, overview.rows, objective=study.objective, direction=study.direction, images=len(context.data.validation),
        seeds=seeds, trainings=most,
        train=lambda course: train_race(context, course, lambda place: job(rows[place[0]], seeds[place[1]])),
    )  # fmt: skip
    return replace(outcome, trials=ended)


def _same_field(race: Race, rows: Sequence[TrialRow], objective: str, seeds: Sequence[int]) -> bool:
    """Return whether a race was run by these trials on these seeds."""
    ran = [(one.trial, one.search_value) for one in race.candidates]
    same = ran == [(row.number, row.value or 0.0) for row in rows] and race.objective == objective
    return same and race.seeds == list(seeds[: len(race.seeds)])


def write_shared_records(context: Context) -> Gallery:
    """Write what all replicates share, the gallery and pixel counts, and return the gallery."""
    data = context.data
    indices = np.random.default_rng(0).permutation(len(data.test))[:GALLERY_SIZE]
    shown = _levels(data.test.images[indices], data.scale)
    if shown.shape[-1] not in (1, 3):  # neither gray nor three colours
        shown = np.asarray(shown.mean(axis=-1, keepdims=True), np.uint8)
    gallery = Gallery(indices=indices, images=shown, labels=data.test.labels[indices])
    images = _levels(data.train.images, data.scale)
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    write_shared(context.folder, gallery, np.stack(counts))
    return gallery


def _levels(images: NDArray[Any], scale: tuple[float, float]) -> NDArray[np.uint8]:
    """Return pixels as levels, black 0 and white 255."""
    if images.dtype == np.uint8:
        return images
    black, white = scale
    return np.asarray(np.rint(((images - black) / (white - black)).clip(0, 1) * 255), np.uint8)


def _test(
    context: Context,
    jobs: Mapping[Run, Job],
    trainings: Mapping[Run, Training],
    keys: Mapping[Run, str],
    gallery: Gallery,
    tested: dict[str, bool],
) -> None:
    """Evaluate each training on the test images, at the epoch chosen by validation and at the last.

    Replicates that were tested before are not tested again, unless an earlier version left out the objective's metric.
    `tested` has their keys, and whether they hold it.
    """
    study, folder, data = context.study, context.folder, context.data
    tested |= {
        one.key: one.has(objective_of(study.objective).metric)
        for one in read_replicates(folder)
        if not tested.get(one.key)
        and not one.chosen_blindly(study.objective)
        and read_arrays(folder, one.variant, one.seed) is not None
    }
    if earlier := [run for run in jobs if not tested.get(keys[run], True)]:
        context.tell.note(
            f"{counted(len(earlier), 'replicate')} of an earlier version, whose weights are kept: tested again, for "
            f"{objective_of(study.objective).on_test}"
        )

    def write(run: Run, evaluations: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        read = {which: Evaluation(split="test", **values) for which, values in evaluations.items()}
        record = replicate_of(study, run[0], jobs[run].task, trainings[run], key=keys[run])
        write_replicate(folder, replace(record, chosen=read.get("chosen"), last=read.get("last")), npz(arrays))

    def arguments(run: Run) -> tuple[Task, Training, DatasetInfo]:
        training = read_training(folder.trainings, trainings[run].key)
        if training is None:
            place = folder.trainings / trainings[run].key
            raise TrainingFailedError(
                f"{jobs[run].label}: its weights in {place} are damaged or gone; run the same command again, which "
                "trains it again"
            )
        return jobs[run].task, training, context.facts(jobs[run].split).info

    calls = {}
    for run in [run for run in jobs if not tested.get(keys[run])]:
        if trainings[run].diverged:
            write(run, {}, {})
        else:
            calls[run] = partial(arguments, run)
    if not calls:
        return
    context.connection.cluster()
    from hw2tune.execution.tasks import run_each

    context.tell.stage(f"testing {len(calls)} replicates")
    capacity = context.capacity
    shared = (data.test, gallery.indices, capacity.gpus_per_trial > 0)
    for run, (evaluations, arrays) in run_each(_evaluate, calls, shared, capacity, context.tell, now=context.now):
        write(run, evaluations, arrays)


def _evaluate(
    shared: tuple[Split, Any, bool], task: Task, training: Training, info: DatasetInfo
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """In a worker: return the evaluations and the arrays of `records.replicates.write_replicate`."""
    from hw2tune.execution.tasks import told
    from hw2tune.train.device import on_device, prepare_process
    from hw2tune.train.evaluate import evaluate_network

    test, gallery, gpu = shared
    with told(task.code):
        images = on_device(test, info, prepare_process(1, gpu=gpu))
        return evaluate_network(training, task, info, images, shown=gallery[:FEATURE_IMAGES])
