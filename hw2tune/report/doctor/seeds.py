"""Findings on replicates: seeds that collapse, overtuning, too few seeds, and test images that were read too often."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from hw2tune.inference.evidence import UNITS
from hw2tune.inference.power import smallest_difference
from hw2tune.inference.statistics import ALPHA, summarize
from hw2tune.records.reads import WARNING, WAY_OUT, TestReads
from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import COMPLETE, DIVERGED, RANKED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import best_epoch, sign_of
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import counted, listed, measured, percent, sentence


def collapses(data: StudyData) -> Iterator[Finding]:
    """Yield the variants of which seeds diverged, stayed at chance, or fell far below the median of the others."""
    for variant in data.variants:
        replicates = data.of(variant)
        diverged = [one.seed for one in replicates if one.state == DIVERGED]
        fell = fallen(replicates, chance_level(data, variant))
        if not diverged and not fell:
            continue
        tested = {one.seed: one.chosen.accuracy for one in replicates if one.chosen}
        parts = [f"seed {seed} has {percent(tested[seed])}" for seed in fell]
        parts += [f"seed {seed} diverged" for seed in diverged]
        parts += [f"the median is {percent(np.median([*tested.values()]))}"] if tested else []
        yield Finding(
            check="collapse",
            finding=f"{variant} collapsed on {len(fell) + len(diverged)} of {counted(len(replicates), 'seed')}.",
            evidence=f"{listed(parts)[:1].upper()}{listed(parts)[1:]}.",
            remedy=(
                "Report the share of seeds that collapse with the mean, and look for a more stable configuration: a "
                "smaller learning rate, a warm-up or `gradient_clip`."
            ),
        )


def chance_level(data: StudyData, variant: str) -> float:
    """Return the test accuracy of always answering the most frequent class; 0 if no predictions are kept."""
    kept = (data.predictions(variant, one.seed) for one in data.of(variant))
    labels = next((one["labels"] for one in kept if one), None)
    return 0.0 if labels is None else float(np.bincount(labels).max() / len(labels))


def fallen(replicates: Sequence[Replicate], chance: float = 0.0) -> list[int]:
    """Return the seeds whose test accuracy is not above chance, or far below the median.

    Far is by deviations and by errors of the images, and not told from few seeds.
    """
    tested = [(one.seed, one.chosen) for one in replicates if one.chosen and one.state == COMPLETE]
    if len(tested) < limit.FEWEST_SEEDS:
        return [seed for seed, chosen in tested if chosen.accuracy <= chance]
    values = np.array([chosen.accuracy for _, chosen in tested])
    middle = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    error = math.sqrt(middle * (1 - middle) / tested[0][1].total)
    drop = max(limit.COLLAPSE_DEVIATIONS * deviation, limit.COLLAPSE_ERRORS * error)
    return [seed for (seed, _), value in zip(tested, values, strict=True) if value <= chance or value < middle - drop]


def overtuning(data: StudyData) -> Iterator[Finding]:
    """Yield the winner if half of the gain that the search promised is gone on the claim's seeds, on validation."""
    study, winner, best = data.overview.study, data.winner, data.overview.best
    number = winner.trial if winner else best.number if best else None
    row = next((row for row in data.overview.rows if row.number == number), None)
    references = [one.value for one in data.overview.rows if one.label and one.value is not None]
    if row is None or row.value is None or row.state != COMPLETE or not references:
        return
    sign = sign_of(study.direction)
    known = [_best_value(one, study.objective, study.direction) for one in data.of(TUNED)]
    fresh = [sign * value for value in known if value is not None]
    if len(fresh) < limit.FRESH_SEEDS:
        return
    seen, baseline, summary = sign * row.value, max(sign * value for value in references), summarize(fresh)
    promised, fall = seen - baseline, seen - summary.mean
    if promised > 0 and summary.high is not None and seen > summary.high and fall >= limit.LOST_GAIN * promised:
        yield Finding(
            check="overtuning",
            finding=f"Half or more of the gain that the search promised for #{row.number} is gone on fresh seeds.",
            evidence=(
                f"{measured(row.value, study.objective)} in the search, "
                f"{measured(sign * summary.mean, study.objective)} on validation over "
                f"{counted(summary.n, 'fresh seed')}; the best reference had "
                f"{measured(sign * baseline, study.objective)}."
            ),
            remedy=(
                "Trust the replicates. For the next search use more validation images, or fewer trials and a larger "
                "race (`--race`)."
            ),
        )


def _best_value(replicate: Replicate, objective: str, direction: str) -> float | None:
    """Return the best value of a replicate's epochs, as the search counts a trial."""
    if replicate.state not in RANKED:
        return None
    values = {int(one["epoch"]): one[objective] for one in replicate.epochs if isinstance(one.get(objective), float)}
    best = best_epoch(values, direction)
    return None if best is None else values[best]


def few_seeds(data: StudyData) -> Iterator[Finding]:
    """Yield the claims with too few common seeds, searches or splits for a verdict on all but enormous differences."""
    claims = data.overview.study.claims
    numbers: dict[str, int] = {}
    for claim in claims:
        a, b = claim.a.variant, claim.b.variant
        common = {one.seed for one in data.of(a)} & {one.seed for one in data.of(b)}
        n = len({*map(data.unit_of, common)})
        numbers |= {f"{a} against {b}": n} if n else {}
    smallest = partial(smallest_difference, sd=1.0, alpha=ALPHA / max(1, len(claims)), fixed=True)
    few = {pair: n for pair, n in numbers.items() if smallest(n) > limit.DETECTABLE}
    if not few:
        return
    (unit, each), units = data.family, UNITS[data.family[0]]
    enough = next(n for n in range(2, 100) if smallest(n) <= limit.DETECTABLE)
    remedy = {
        "seed": f"Train more: `hw2tune summarize {data.name} --replicates {enough}` or more.",
        "search": f"Search more: `hw2tune study {data.name} --searches {enough} --summarize` or more.",
        "split": f"Train more: `hw2tune summarize {data.name} --replicates {each} --splits {enough}` or more.",
    }[unit]
    yield Finding(
        check="seeds",
        finding=f"Too few {units} for any verdict: {listed([f'{pair} has {n}' for pair, n in few.items()])}.",
        evidence=(
            f"With {counted(len(claims), 'claim')} to correct for, fewer than {enough} {units} detect only differences "
            f"beyond {limit.DETECTABLE:g} standard deviations (80 % power)."
        ),
        remedy=remedy,
    )


def many_reads(data: StudyData, ledger: Sequence[TestReads]) -> Iterator[Finding]:
    """Yield the test images of this study if too many configurations of the results folder were read on them."""
    checksum = data.images.get("checksum")
    for reads in ledger:
        if reads.checksum == checksum and reads.many:
            yield Finding(
                check="test reads",
                finding=f"{reads.text}.",
                evidence=f"{sentence(WARNING)}.",
                remedy=f"{sentence(WAY_OUT)}.",
            )
