"""Price of replicates before they are trained: trainings and time, and the smallest difference that they will see."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hw2tune.errors import Hw2tuneError
from hw2tune.events import StudyStarted
from hw2tune.inference.evidence import Evidence, Pair, gather
from hw2tune.inference.power import smallest_difference
from hw2tune.inference.statistics import ALPHA
from hw2tune.inference.units import by_unit, units_words
from hw2tune.records.environment import Family, planned, replicates_runs, runs
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.overview import without_trials
from hw2tune.records.replicates import ReplicatesFolder, read_arrays, read_race, read_replicates
from hw2tune.replication.finalists import change_of, refuse_each_finalist
from hw2tune.replication.race import THIRD, finalists
from hw2tune.replication.rounds import SeedCount
from hw2tune.search.cost import Cost, ReplicatesCost, SeedsCost
from hw2tune.study.arms import searches
from hw2tune.study.names import RACE, RACE_EACH
from hw2tune.study.schema import MOST_SPLITS, TUNED, Study
from hw2tune.study.splits import seeds_of_splits, split_of_seed, unit_of_seed

NUMBERS = (5, 7, 10, 20)
ENOUGH = 3  # pairs from which a deviation is told


@dataclass(frozen=True, order=True)
class _Spread:
    """Spread of the paired differences of the noisiest claim, and the seeds behind it as text."""

    sd: float
    images: float  # variance of their mean over test images that no further seed takes away
    source: str


# Of tuned against baseline in test accuracy, the noisiest claim, by model and data. The part of the test images is
# measured for mnist-5k. For the others it is the same share, 12 %, of one pair's variance over 10,000 test images, of
# which 29 % changed for cifar10 (benchmarks/results/whole-study-cifar10-10k.json) and about 1 % can for mnist; its
# deviation is that of seeds in report/reproduction/seed_spread.csv times the square root of 2.
SHIPPED = {
    ("mnist_cnn", "mnist-5k"): _Spread(0.0342, 0.0043**2, "10 seeds of quickstart, 2026-11-28"),
    ("mnist_cnn", "mnist"): _Spread(0.0043, 0.0003**2, "7 seeds of the published run, 5 epochs"),
    ("cifar10_cnn", "cifar10"): _Spread(0.0144, 0.0019**2, "5 seeds on 12,500 of the images, 12 epochs, 2026-11-27"),
}


def with_replicates(
    cost: Cost, plan: StudyStarted, count: SeedCount, *, race: int = RACE, each_finalist: int = 0
) -> Cost:
    """Return the cost with that of replicates on 5, 7, 10, 20 and `count` seeds; of searches or splits on `count`.

    `race` and `each_finalist` as in `studies.replicate_studies`. Raises StudyFileError for the latter with arms.
    """
    study, folder = plan.study, StudyFolder(Path(plan.folder))
    refuse_each_finalist(study, each_finalist)
    entries, (spread, at_least) = runs(folder), _spread(study, folder, count.family)
    claims, planned_number = planned(entries, study.claims, count.family)
    first = all(run.unit != count.family[0] for run in replicates_runs(entries))
    of_race, each = _race_trainings(plan, folder, race), []
    for seeds in sorted({count.largest} if count.each else {*NUMBERS, count.largest}):
        allowed = count.seeds(study) if count.each else range(study.seed + 1, study.seed + 1 + seeds)
        trainings = of_race + seeds * len(study.variants) - _kept(study, folder, allowed)
        n = int(count.asked) if count.each else seeds
        fixed, smallest = count.most is None and (first or planned_number == n), None
        if spread:
            alpha = ALPHA / max(1, claims)
            smallest = smallest_difference(n, spread.sd, alpha, fixed=fixed, images=spread.images)
        each.append(_priced(cost, plan, trainings, seeds, smallest))
    finalists = None
    if each_finalist:
        finalists = _priced(cost, plan, _finalist_trainings(plan, race) * each_finalist, each_finalist)
    source = spread.source if spread else ""
    found = ReplicatesCost(
        each=tuple(each), claims=max(1, claims), source=source, finalists=finalists, units=count.text,
        at_least=at_least,
    )  # fmt: skip
    return replace(cost, replicates=found)


def _priced(cost: Cost, plan: StudyStarted, trainings: int, seeds: int, smallest: float | None = None) -> SeedsCost:
    epochs = trainings * plan.study.max_epochs
    rounds = math.ceil(trainings / plan.capacity.same_device)  # of trainings at once
    seconds = rounds * plan.study.max_epochs * cost.epoch_seconds
    return SeedsCost(seeds=seeds, trainings=trainings, epochs=epochs, seconds=seconds, smallest=smallest)


def _kept(study: Study, folder: StudyFolder, seeds: Sequence[int]) -> int:
    """Return the number of replicates on these seeds that are there."""
    there = read_replicates(ReplicatesFolder.of(folder))
    return sum(one.variant in study.variants and one.seed in seeds for one in there)


def _finalists(plan: StudyStarted, race: int) -> int:
    """Return the number of trials that race, at most."""
    return min(finalists(plan.study, race), math.ceil((len(plan.finished) + len(plan.resumed) + plan.left) / THIRD))


def _race_trainings(plan: StudyStarted, folder: StudyFolder, race: int) -> int:
    """Return the trainings of the races that are still to be run, at most."""
    study = plan.study
    folders = [StudyFolder(folder.arms / search.name) for search in searches(study)]
    if any(side.of == TUNED for side in study.variants.values()):
        folders.append(folder)
    races = sum(read_race(ReplicatesFolder.of(one)) is None for one in folders)
    trainings = RACE_EACH * _finalists(plan, race)
    return races * (trainings if study.race_trainings is None else min(trainings, study.race_trainings))


def _finalist_trainings(plan: StudyStarted, race: int) -> int:
    """Return the trainings on each seed of the changes that claims are about, in each finalist, at most."""
    changes = [change for claim in plan.study.claims if (change := change_of(plan.study, claim))]
    sides = {tuple(sorted(side.items())) for change in changes for side in change}
    return len(sides) * _finalists(plan, race)


def _spread(study: Study, folder: StudyFolder, family: Family) -> tuple[_Spread | None, bool]:
    """Return the spread by the study's own replicates, other studies' or the shipped one's; None if not known.

    Also whether it is a lower bound: of searches or splits that were not repeated yet, only their seeds' part is known.
    """
    unit, each = family
    if own := _measured(study, folder, family):
        return replace(own, source=f"{own.source} of this study"), False
    if others := [*_of_others(study, folder, family)]:
        return max(others), False
    if unit != "seed":
        seeds, _ = _spread(study, folder, ("seed", 0))
        return seeds and replace(seeds, sd=seeds.sd / math.sqrt(each)), True
    shipped = SHIPPED.get((study.model, study.dataset))
    return shipped if study.objective_spec.metric == "accuracy" else None, False


def _of_others(study: Study, folder: StudyFolder, family: Family) -> Iterator[_Spread]:
    """Yield the spreads of the other studies in the results with this network, data set and objective."""
    for other in study_folders(folder.root.parent):
        if other.root == folder.root or not ReplicatesFolder.of(other).current.exists():
            continue
        with contextlib.suppress(Hw2tuneError):  # its own command names what is wrong with it
            there = without_trials(other).study
            alike = (there.model, there.dataset, there.objective) == (study.model, study.dataset, study.objective)
            if alike and (found := _measured(there, other, family)):
                yield replace(found, source=f"{found.source} of {other.name}")


def _measured(study: Study, folder: StudyFolder, family: Family) -> _Spread | None:
    """Return the spread of the noisiest claim in a folder; None without ENOUGH pairs and their predictions.

    Pairs are of seeds, or of the means of searches or splits that have as many seeds as in `family`.
    """
    (unit, each), place = family, ReplicatesFolder.of(folder)
    if (study.searches > 1) is not (unit == "search"):
        return None
    allowed = {*seeds_of_splits(study, MOST_SPLITS, each)} if unit == "split" else None
    every = read_replicates(place)
    there = [one for one in every if (one.seed in allowed if allowed else not split_of_seed(study, one.seed))]
    found = list[tuple[float, tuple[str, str]]]()

    def evidence(a: str, b: str, arrays: Callable[[int], Pair]) -> Evidence:
        first, second = ([one for one in there if one.variant == name] for name in (a, b))
        of_seeds = gather(a, first, b, second, arrays=arrays, metric=study.objective)
        return of_seeds if unit == "seed" else by_unit(of_seeds, unit, partial(unit_of_seed, study, unit), each)

    for claim in study.claims:
        pair = claim.a.variant, claim.b.variant
        one = evidence(*pair, arrays=lambda _: (None, None))
        if len(one.seeds) >= ENOUGH and one.metric == study.objective:
            found.append((float(one.differences.std(ddof=1)), pair))
    if not found:
        return None
    sd, (a, b) = max(found)
    noisiest = evidence(a, b, lambda seed: (read_arrays(place, a, seed), read_arrays(place, b, seed)))
    images = float(noisiest.looks(ALPHA).of_images[-1])
    source = f"{a} against {b} on {units_words(unit, noisiest.units or noisiest.seeds)}"
    return _Spread(sd, images, source) if math.isfinite(images) else None
