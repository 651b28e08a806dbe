"""Ledger of variance: the sources of a claim's uncertainty, and what to repeat next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.statistics import ALPHA, SAME
from hw2tune.records.environment import UNITS
from hw2tune.records.replicates import Race
from hw2tune.report.claims import ClaimResult
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import INTEGER, NUMBER, TEXT, frame
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import difference

SEEDS, SEARCHES, SPLITS = "seeds", "searches, with their seeds,", "splits, with their seeds,"
REPEATED = {"seed": SEEDS, "search": SEARCHES, "split": SPLITS}
IMAGES, RACE, SPLIT = "test images", "choice by the race", "splits"
NEXT = {
    SEEDS: "more seeds",
    SEARCHES: "more searches",
    SPLITS: "more splits, on two seeds or more to tell their parts",
    SPLIT: "more splits",
    IMAGES: "more test images; more repetitions help little",
    RACE: "several searches, or more trainings in the race",
}


@dataclass(frozen=True, kw_only=True)
class Variance:
    """Sources of the variance of a claim's mean difference, as variances of that mean; None for one not measured."""

    variant: str
    against: str
    metric: str  # the objective in whose unit the difference is
    unit: str  # of the repetitions: seed, search, or split
    n: int  # repetitions
    repeats: float  # falls with more repetitions
    split: float | None = None  # the part of splits in `repeats`, the rest is of their seeds; None with one seed each
    images: float | None  # over other test images: no further repetition takes it away
    race: float | None  # if the race had chosen another finalist, by its chances; None unless one side is the winner

    @property
    def parts(self) -> dict[str, float]:
        """The measured sources by name."""
        found = {self.repeated: self.repeats - (self.split or 0.0), IMAGES: self.images, RACE: self.race}
        return {name: value for name, value in {**found, SPLIT: self.split}.items() if value is not None}

    @property
    def repeated(self) -> str:
        """The source that is repeated: seeds by themselves, or with the searches or splits whose seeds they are."""
        return SEEDS if self.split is not None else REPEATED[self.unit]

    @property
    def total(self) -> float:
        """The variance from all measured sources, taken as independent."""
        return sum(self.parts.values())

    def share(self, source: str) -> float | None:
        """Return a source's share of the measured variance; None if it was not measured, or nothing varies."""
        return self.parts[source] / self.total if source in self.parts and self.total > SAME**2 else None

    @property
    def falling(self) -> tuple[str, float]:
        """What is to be doubled, and its part of the variance: seeds of each split, if they are the largest source."""
        if self.split is not None and self.largest == SEEDS:
            return "seeds of each split", self.parts[SEEDS]
        return UNITS[self.unit], self.repeats

    def error(self, times: int = 1) -> float:
        """Return the standard error of the mean difference with so many times the repetitions to be doubled."""
        falling = self.falling[1]
        return math.sqrt(self.total - falling + falling / times)

    @property
    def largest(self) -> str | None:
        """The source with the largest share; None if nothing varies."""
        return max(self.parts, key=lambda name: self.parts[name]) if self.total > SAME**2 else None


def variance(evidence: Evidence, race: Race | None = None) -> Variance | None:
    """Return the ledger of a claim; None below two repetitions. `race` is the winner's, if it is on one side only.

    Seeds, or searches, and images are crossed random effects: the part of the seeds is their variance over n, which
    holds the residual, and that of the images what remains of the two-way variance (`inference.intervals`).
    """
    n = len(evidence.differences)
    if n < 2:
        return None
    last = evidence.looks(ALPHA)
    images = float(last.of_images[-1])
    return Variance(
        variant=evidence.variant,
        against=evidence.against,
        metric=evidence.metric,
        unit=evidence.unit,
        n=n,
        repeats=float(last.sd[-1]) ** 2 / n,
        split=_of_splits(evidence) if evidence.unit == "split" else None,
        images=images if math.isfinite(images) else None,
        race=race_variance(race) if race else None,
    )


def _of_splits(evidence: Evidence) -> float | None:
    """Return the part of the splits in the variance of the mean difference, by analysis of variance.

    That of the splits' means, less what their seeds explain: within splits, over the mean number of their seeds. At
    least 0. None if no split has two seeds.
    """
    units, differences = np.array(evidence.units), evidence.pairs.differences
    groups = [differences[units == unit] for unit in dict.fromkeys(evidence.units)]
    freedom = len(differences) - len(groups)
    if freedom == 0:
        return None
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom
    of_seeds = within * float(np.mean([1 / len(group) for group in groups]))
    return max(0.0, float(evidence.differences.var(ddof=1)) - of_seeds) / len(groups)


def race_variance(race: Race) -> float | None:
    """Return the variance of the winner's expected value over the finalists, each by its probability of being best.

    It is on validation images, and of this one search: another search could find other finalists. None without chances.
    """
    known = [(one.probability, one.expected) for one in race.candidates if one.expected is not None]
    chances, values = (np.array([pair[place] or 0.0 for pair in known]) for place in (0, 1))
    if not chances.sum() > 0:
        return None
    mean = np.average(values, weights=chances)
    return float(np.average((values - mean) ** 2, weights=chances))


def variances(claims: Sequence[ClaimResult], data: StudyData) -> list[Variance]:
    """Return the ledger of each claim with two repetitions or more, in their order."""
    found = []
    for claim in claims:
        if claim.evidence is None:
            continue
        winners = sum(data.side(name).of == TUNED for name in (claim.variant, claim.against))
        chosen = data.race is not None and winners == 1 and data.race.objective == claim.evidence.metric
        if one := variance(claim.evidence, data.race if chosen else None):
            found.append(one)
    return found


def repeat_next(one: Variance) -> str:
    """Return what to repeat, with the standard error that twice the repetitions would leave."""
    if one.largest is None:
        return "nothing varies: equal differences tell no spread"
    now, then = (difference(one.error(times), one.metric).lstrip("+") for times in (1, 2))
    share, repeats = one.share(one.largest) or 0.0, one.falling[0]
    return (
        f"{one.largest} make{'s' if one.largest == RACE else ''} {100 * share:.0f} % of the measured variance: "
        f"{NEXT[one.largest]} (standard error {now}, with twice the {repeats} {then})"
    )


def variance_table(claims: Sequence[ClaimResult], data: StudyData) -> pd.DataFrame:
    """One row per claim: shares of the variance of its mean difference; missing for what was not measured."""
    rows = [
        {
            "variant": one.variant,
            "against": one.against,
            "unit": one.unit,
            "n": one.n,
            "standard_error": math.sqrt(one.total),
            "repeats_share": one.share(one.repeated),
            "images_share": one.share(IMAGES),
            "race_share": one.share(RACE),
            "split_share": one.share(SPLIT),
        }
        for one in variances(claims, data)
    ]
    columns = {"variant": TEXT, "against": TEXT, "unit": TEXT, "n": INTEGER, "standard_error": NUMBER}
    return frame(rows, columns | {f"{name}_share": NUMBER for name in ("repeats", "images", "race", "split")})
