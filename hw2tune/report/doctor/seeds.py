"""Findings on replicates: seeds that collapse, overtuning, too few seeds, and test images that were read too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from hw2tune.inference.power import smallest_difference
from hw2tune.inference.statistics import summarize
from hw2tune.records.environment import UNITS, replicates_runs
from hw2tune.records.reads import WARNING, WAY_OUT, TestReads
from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import COMPLETE, DIVERGED, RANKED
from hw2tune.report.claims import ClaimResult, rule_of
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import best_epoch, sign_of
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import counted, listed, measured, percent, sentence


def collapses(data: StudyData, claims: Sequence[ClaimResult]) -> Iterator[Finding]:
    """Yield the variants that diverged or collapsed on some seeds, by the rule of the claims' verdicts."""
    failed = {name: {one.seed for one in data.of(name) if one.state == DIVERGED} for name in data.variants}
    for claim in claims:
        if claim.evidence is not None:
            failed[claim.variant] |= {*claim.evidence.failed_seeds[0]}
            failed[claim.against] |= {*claim.evidence.failed_seeds[1]}
    for variant, seeds in failed.items():
        if not seeds:
            continue
        tested = {one.seed: one.chosen.accuracy for one in data.of(variant) if one.chosen}
        parts = [
            f"seed {seed} has {percent(tested[seed])}" if seed in tested else f"seed {seed} diverged"
            for seed in sorted(seeds)
        ]
        parts += [f"the median is {percent(np.median([*tested.values()]))}"] if tested else []
        yield Finding(
            check="collapse",
            finding=f"{variant} diverged or collapsed on {len(seeds)} of {counted(len(data.of(variant)), 'seed')}.",
            evidence=f"{sentence(listed(parts))}.",
            remedy=(
                "Report the share of these seeds with the mean, and look for a more stable configuration: a smaller "
                "learning rate, a warm-up or `gradient_clip`."
            ),
        )


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


def few_seeds(data: StudyData, claims: Sequence[ClaimResult]) -> Iterator[Finding]:
    """Yield the open claims with too few seeds, searches or splits for a verdict on all but enormous differences.

    None if "auto" stopped before its largest number: it took more seeds for useless, and would not train them.
    """
    rule, runs = rule_of(data), replicates_runs(data.environment)
    open_ = [(one, one.result.n) for one in claims if one.result and not one.result.decided]
    if runs and runs[-1].asked == "auto":
        open_ = [(one, n) for one, n in open_ if n >= (runs[-1].most or 0)]
    shown = partial(smallest_difference, sd=1.0, alpha=rule.alpha)
    few = [(one, n) for one, n in open_ if shown(n, fixed=rule.fixed is not None) > limit.DETECTABLE]
    if not few:
        return
    enough = next(n for n in range(2, 1000) if shown(n, fixed=False) <= limit.DETECTABLE)
    (unit, each), units = data.family, UNITS[data.family[0]]
    pairs = [f"{one.pair} has {n}" for one, n in few]
    command = {
        "seed": f"summarize {data.called} --replicates auto --most {max(enough, data.overview.study.max_replicates)}",
        "search": f"study {data.called} --searches {enough} --summarize",
        "split": f"summarize {data.called} --replicates {each} --splits {enough}",
    }[unit]
    yield Finding(
        check="seeds",
        finding=f"Too few {units} for a verdict: {listed(pairs)}.",
        evidence=(
            f"With {counted(rule.claims, 'claim')} to correct for and results that were looked at, fewer than {enough} "
            f"{units} show only differences beyond {limit.DETECTABLE:g} standard deviations (80 % power)."
        ),
        remedy=f"Add {units}: `hw2tune {command}`.",
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
