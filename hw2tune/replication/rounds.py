"""Rounds of seeds: one round of a number that was asked for, or with "auto" as many as it takes to decide the claims.

The first round of "auto" is as large as the smallest number of seeds that can decide anything. Each further round adds
a seed, or as many as the free processors train at once, to the sides of the claims that are still open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from hw2tune.errors import StudyFileError
from hw2tune.inference.evidence import Arrays, Evidence, gather
from hw2tune.inference.intervals import anytime_factor
from hw2tune.inference.verdicts import Rule, decide, futile
from hw2tune.records.environment import UNITS, Family
from hw2tune.records.replicates import Replicate, ReplicatesFolder, read_arrays, read_replicates
from hw2tune.study.arms import CLAIM_SEEDS, seeds_of_claims
from hw2tune.study.hyperparameters import Hyperparameters, identity
from hw2tune.study.schema import Claim, Study
from hw2tune.study.splits import seeds_of_splits, split_faults
from hw2tune.text.numbers import counted, listed

AUTO: Literal["auto"] = "auto"
PREDICTIONS = {"labels", "predicted", "losses", "resampled"}  # that a verdict rests on: no others stay in memory


@dataclass(frozen=True)
class SeedCount:
    """The number of seeds asked for; `most` at most with "auto", and None with a number.

    If a claim is about searches, or about splits, `asked` is their number, and each has `each` seeds.
    """

    asked: int | Literal["auto"]
    most: int | None = None
    each: int = 0
    splits: bool = False

    @classmethod
    def of(
        cls, study: Study, asked: int | Literal["auto"] | None, most: int | None, searches: int = 0,
        splits: int | None = None,
    ) -> SeedCount:  # fmt: skip
        """Return the study's, unless others are given. Raises StudyFileError for `most` beside a number.

        `searches` is the number of complete searches of each arm.
        """
        asked = study.replicates if asked is None else asked
        if asked != AUTO and (not isinstance(asked, int) or asked < 1):
            raise StudyFileError(f'replicates: must be "auto" or a number of seeds >= 1, but got {asked!r}')
        if faults := [*split_faults(study, splits, asked)]:
            raise StudyFileError(f"--{faults[0]}")
        if study.searches > 1:
            return cls._of_searches(study, 1 if asked == AUTO else asked, most, searches)
        if asked == AUTO:
            return cls(AUTO, study.max_replicates if most is None else most)
        if most is not None:
            raise StudyFileError(
                f"--most {most}: is for --replicates auto, and {study.name} has a number of replicates, {asked}; "
                "give --replicates auto as well"
            )
        splits = study.splits if splits is None else splits
        return cls(asked) if splits == 1 else cls(splits, each=asked, splits=True)

    @classmethod
    def _of_searches(cls, study: Study, each: int, most: int | None, searches: int) -> SeedCount:
        if most is not None or each > CLAIM_SEEDS:
            given = f"--replicates {each}" if most is None else f"--most {most}"
            raise StudyFileError(
                f"{given}: {study.name} has {study.searches} searches of each arm, whose winners are trained on 1 to "
                f"{CLAIM_SEEDS} seeds each; give --replicates a number of these, or add searches with --searches"
            )
        return cls(searches, each=each)

    def first(self, claims: int) -> int:
        """Return the number of seeds of the first round."""
        return self.largest if self.most is None else min(self.most, first_possible(claims))

    def seeds(self, study: Study) -> list[int]:
        """Return the seeds that may be trained: those after the study's, which the search trains on."""
        if self.each:
            of_unit = seeds_of_splits if self.splits else seeds_of_claims
            return of_unit(study, int(self.asked), self.each)
        return [study.seed + 1 + number for number in range(self.largest)]

    @property
    def family(self) -> Family:
        """The unit of which `asked` is a number, with `each`."""
        return "split" if self.splits else "search" if self.each else "seed", self.each

    @property
    def record(self) -> dict[str, Any]:
        """It as `environment.json` has it."""
        return {"asked": self.asked, "most": self.most, "unit": self.family[0], "each": self.each}

    @property
    def text(self) -> str:
        """`3 splits x 2 seeds`, `7 searches x 1 seed`; empty for seeds."""
        return f"{self.asked} {UNITS[self.family[0]]} x {counted(self.each, 'seed')}" if self.each else ""

    @property
    def largest(self) -> int:
        """The largest number of seeds that may be trained."""
        return int(self.asked) * (self.each or 1) if self.most is None else self.most


@cache
def first_possible(claims: int) -> int:
    """Return the smallest number of seeds that can decide one of so many claims: its anytime interval is finite."""
    n = np.arange(2.0, 100.0 + claims)
    return int(n[np.isfinite(anytime_factor(n, Rule(claims=max(1, claims)).alpha))][0])


class Rounds:
    """Seeds of each variant so far, and the claims that are still open."""

    def __init__(self, study: Study, count: SeedCount, rule: Rule) -> None:
        self.study, self.count, self.rule = study, count, rule
        self.seeds = dict.fromkeys(study.variants, count.first(rule.claims))
        self.open = list(study.claims)
        self.futile: list[Claim] = []
        self._predictions: dict[tuple[str, int], Arrays | None] = {}

    def begin(self, configurations: Mapping[str, Hyperparameters]) -> None:
        """Close the claims whose two sides are one configuration, now that the winner is known."""
        same = {variant: identity(one.as_dict()) for variant, one in configurations.items()}
        self.open = [claim for claim in self.open if same[claim.a.variant] != same[claim.b.variant]]

    def go_on(self, folder: ReplicatesFolder, slots: int) -> bool:
        """Judge the claims by the replicates on disk; return whether open ones need more seeds, which are then added.

        `slots` is the number of trainings at once.
        """
        if self.count.most is None:
            return False
        self.judge(self._evidences(folder))
        return self.grow(slots)

    def _evidences(self, folder: ReplicatesFolder) -> list[Evidence]:
        """Return the evidence on each claim from the seeds of these rounds."""
        there = read_replicates(folder)

        def side(variant: str) -> list[Replicate]:
            return [
                one for one in there if one.variant == variant and 0 < one.seed - self.study.seed <= self.seeds[variant]
            ]

        def predictions(variant: str, seed: int) -> Arrays | None:
            if (variant, seed) not in self._predictions:
                arrays = read_arrays(folder, variant, seed)
                kept = arrays and {name: arrays[name] for name in PREDICTIONS & arrays.keys()}
                self._predictions[variant, seed] = kept
            return self._predictions[variant, seed]

        def evidence(claim: Claim) -> Evidence:
            a, b = claim.a.variant, claim.b.variant
            return gather(
                a, side(a), b, side(b), metric=self.study.objective, worth=claim.worth,
                arrays=lambda seed: (predictions(a, seed), predictions(b, seed)),
            )  # fmt: skip

        return [evidence(claim) for claim in self.study.claims]

    def judge(self, evidences: Sequence[Evidence]) -> None:
        """Close the claims that are decided or futile by the evidence on each claim, in the study's order.

        A claim without a seed that both sides finished is futile.
        """
        pairs = list(zip(self.study.claims, evidences, strict=True))
        tested = [one for _, one in pairs if one.seeds]
        decided = {id(one) for one, verdict in zip(tested, decide(tested, self.rule), strict=True) if verdict.decided}
        most = self.count.largest
        hopeless = {
            id(one) for one in evidences if not one.seeds or (one.trained < most and futile(one, self.rule, most))
        }
        self.futile += [claim for claim, one in pairs if claim in self.open and id(one) in hopeless - decided]
        self.open = [claim for claim, one in pairs if claim in self.open and id(one) not in hopeless | decided]

    def grow(self, slots: int) -> bool:
        """Add a seed for the sides of open claims, or as many as `slots` trainings at once fill.

        Returns False if no claim is open or the largest number is reached.
        """
        needed = {side.variant for claim in self.open for side in (claim.a, claim.b)}
        n = max((self.seeds[variant] for variant in needed), default=self.count.largest)
        if n >= self.count.largest:
            return False
        self.seeds |= dict.fromkeys(needed, min(self.count.largest, n + max(1, slots // len(needed))))
        return True

    @property
    def text(self) -> str:
        """`n = 7, open: l2 against baseline`; empty with a number of seeds."""
        return "" if self.count.most is None else f"n = {max(self.seeds.values())}, open: {_named(self.open)}"

    @property
    def outcome(self) -> str:
        """What came of the claims, in one line; empty with a number of seeds."""
        if self.count.most is None or not self.study.claims:
            return ""
        most = self.count.most
        parts = [f"{_named(self.open)}: undecided, and --most {most} is reached"] if self.open else []
        if self.open and most < (least := first_possible(self.rule.claims)):
            parts.append(f"no verdict is possible with fewer than {least} seeds")
        if self.futile:
            parts.append(f"{_named(self.futile)}: undecided, and a verdict within {most} seeds is unlikely")
        return f"n = {max(self.seeds.values())}; {'; '.join(parts) or 'every claim is decided'}"


def _named(claims: Sequence[Claim]) -> str:
    return listed([f"{claim.a.variant} against {claim.b.variant}" for claim in claims])
