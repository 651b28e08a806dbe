"""Price of replicates before they are trained: trainings and time, and the smallest difference that they will see."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import optimize, special

from hw2tune.errors import Hw2tuneError
from hw2tune.events import StudyStarted
from hw2tune.inference.evidence import gather
from hw2tune.inference.statistics import ALPHA, POWER
from hw2tune.records.environment import planned, runs
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.overview import without_trials
from hw2tune.records.replicates import ReplicatesFolder, read_race, read_replicates
from hw2tune.replication.race import THIRD, TRAININGS
from hw2tune.replication.rounds import SeedCount
from hw2tune.search.cost import Cost, ReplicatesCost, SeedsCost
from hw2tune.study.arms import searches
from hw2tune.study.names import RACE
from hw2tune.study.schema import TUNED, Study
from hw2tune.text.numbers import counted

NUMBERS = (5, 7, 10, 20)
ENOUGH = 3  # pairs from which a deviation is told

# Deviations of paired differences in test accuracy of the noisiest claim, tuned against baseline, by model and data:
# from README's run of quickstart, benchmarks/results/whole-study-cifar10-10k.json, and for mnist the deviation of
# seeds in report/reproduction/seed_spread.csv times the square root of 2.
SHIPPED = {
    ("mnist_cnn", "mnist-5k"): (0.0317, "5 seeds of quickstart, 2026-11-28"),
    ("mnist_cnn", "mnist"): (0.0043, "7 seeds of the published run, 5 epochs"),
    ("cifar10_cnn", "cifar10"): (0.0144, "5 seeds on 12,500 of the images, 12 epochs, 2026-11-27"),
}


def with_replicates(cost: Cost, plan: StudyStarted, count: SeedCount) -> Cost:
    """Return the cost with that of replicates on 5, 7, 10, 20 and `count` seeds; of searches on `count` alone."""
    study, folder = plan.study, StudyFolder(Path(plan.folder))
    claims = max(1, planned(runs(folder), study.claims)[0])
    sd, source = (None if count.each else _deviation(study, folder)) or (None, "")  # known of seeds, not of searches
    of_searches = {*count.seeds(study)} if count.each else set[int]()
    there = read_replicates(ReplicatesFolder.of(folder))
    each = []
    for seeds in sorted({count.largest} if count.each else {*NUMBERS, count.largest}):
        allowed = of_searches or range(study.seed + 1, study.seed + 1 + seeds)
        kept = sum(one.variant in study.variants and one.seed in allowed for one in there)
        trainings = _race_trainings(plan, folder) + seeds * len(study.variants) - kept
        epochs = trainings * study.max_epochs
        each.append(
            SeedsCost(
                seeds=seeds,
                trainings=trainings,
                epochs=epochs,
                seconds=epochs * cost.epoch_seconds / plan.capacity.same_device,
                smallest=None if sd is None or seeds < 2 else sd * smallest_effect(seeds, ALPHA / claims),
            )
        )
    return replace(cost, replicates=ReplicatesCost(each=tuple(each), claims=claims, source=source))


def smallest_effect(n: int, alpha: float) -> float:
    """Return the difference, in deviations, that a two-sided paired t test of n pairs at `alpha` sees with 80 %.

    The noncentral t distribution is averaged over the estimated deviation: scipy's own gives out far from 0.
    """
    chance = (np.arange(2000) + 0.5) / 2000
    limits = special.stdtrit(n - 1, 1 - alpha / 2) * np.sqrt(special.chdtri(n - 1, chance) / (n - 1))
    shift = optimize.brentq(lambda shift: special.ndtr(limits - shift).mean() - (1 - POWER), 0.0, 10 + limits.max())
    return float(shift) / math.sqrt(n)


def _race_trainings(plan: StudyStarted, folder: StudyFolder) -> int:
    """Return the trainings of the races that are still to be run, at most."""
    study = plan.study
    folders = [StudyFolder(folder.arms / search.name) for search in searches(study)]
    if any(side.of == TUNED for side in study.variants.values()):
        folders.append(folder)
    races = sum(read_race(ReplicatesFolder.of(one)) is None for one in folders)
    return races * TRAININGS * min(RACE, math.ceil((len(plan.finished) + len(plan.resumed) + plan.left) / THIRD))


def _deviation(study: Study, folder: StudyFolder) -> tuple[float, str] | None:
    """Return the deviation of paired differences of the noisiest claim, and its source; None if it is not known."""
    if own := _measured(study, folder):
        return own[0], f"{own[1]} of this study"
    if others := [(sd, f"{text} of {name}") for name, sd, text in _of_others(study, folder)]:
        return max(others)
    shipped = SHIPPED.get((study.model, study.dataset))
    return shipped if study.objective_spec.metric == "accuracy" else None


def _of_others(study: Study, folder: StudyFolder) -> Iterator[tuple[str, float, str]]:
    """Yield names and deviations of the other studies in the results with this network, data set and objective."""
    for other in study_folders(folder.root.parent):
        if other.root == folder.root or not ReplicatesFolder.of(other).current.exists():
            continue
        with contextlib.suppress(Hw2tuneError):  # its own command names what is wrong with it
            there = without_trials(other).study
            alike = (there.model, there.dataset, there.objective) == (study.model, study.dataset, study.objective)
            if alike and (found := _measured(there, other)):
                yield other.name, *found


def _measured(study: Study, folder: StudyFolder) -> tuple[float, str] | None:
    """Return the largest deviation of a claim's differences in a folder, and the seeds behind it as text."""
    there, found = read_replicates(ReplicatesFolder.of(folder)), []
    for claim in study.claims:
        a, b = claim.a.variant, claim.b.variant
        first, second = ([one for one in there if one.variant == name] for name in (a, b))
        evidence = gather(a, first, b, second, arrays=lambda seed: (None, None), metric=study.objective)
        if len(evidence.seeds) >= ENOUGH and evidence.metric == study.objective:
            seeds = counted(len(evidence.seeds), "seed")
            found.append((float(evidence.differences.std(ddof=1)), f"{a} against {b} on {seeds}"))
    return max(found, default=None)
