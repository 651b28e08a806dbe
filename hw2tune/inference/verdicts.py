"""The rule of the verdicts: what replicates of two sides say, at whatever number of seeds they are looked at.

*Better* and *worse* need both that the e-process over seeds rejects 0 and that the anytime interval over seeds and test
images excludes it, *the same within w* that this interval is inside +-w. A statement once reached stays. If the number
of seeds was fixed before any was trained, Holm's correction of the paired t test replaces the e-process, and t
intervals the anytime ones. docs/claims.md has the rule in full, benchmarks/verdicts.py simulates it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.intervals import Looks, anytime_factor, with_images
from hw2tune.inference.statistics import ALPHA, POWER, SAME, holm
from hw2tune.records.arrays import Array
from hw2tune.study.objectives import objective_of

BETTER, WORSE, THE_SAME, UNDECIDED, SINGLE_RUN = "better", "worse", "the same", "undecided", "single run"
FUTILE_FROM = 5  # seeds below which the deviation is too poor an estimate to give up on
FUTILE_BELOW = 0.1  # chance of a verdict below which more seeds are not worth their price

MOST_NEEDED, MOST_MULTIPLE = 10_000, 20  # seeds, and multiples of the worth, up to which a needed number is told

Interval = tuple[float, float]


@dataclass(frozen=True)
class Rule:
    """`claims` the study has, or ever had; `fixed` is the number of seeds asked for before any was trained, or None."""

    claims: int = 1
    fixed: int | None = None

    @property
    def alpha(self) -> float:
        """The chance of a false statement that one claim may have."""
        return ALPHA / self.claims


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Result on one pair. Numbers are of all `n` seeds; `reached` and `same_reached` of the first that sufficed."""

    word: str  # BETTER, WORSE, THE_SAME, UNDECIDED or SINGLE_RUN
    within: bool  # the difference is inside +-worth: THE_SAME, or better and worse by less than it
    reached: int | None  # the n at which better or worse was reached
    same_reached: int | None
    n: int
    mean: float
    sd: float | None  # None for one seed
    seeds_interval: Interval | None  # None if nothing bounds the difference yet
    two_way: Interval | None  # over seeds and test images
    e_value: float | None  # against no difference; None if the number of seeds was fixed
    p: float | None  # of the paired t test, by Holm; None if the number of seeds was not fixed
    withheld: bool = False  # the side that would be better, or the same, diverged or collapsed on more seeds

    @property
    def interval(self) -> Interval | None:
        """The interval that decides, over seeds and test images: it contains the one over seeds."""
        return self.two_way

    @property
    def decided_at(self) -> int | None:
        """The n at which all that the verdict states had been reached; None if it states nothing."""
        return max(self.reached or 0, self.same_reached or 0) or None

    @property
    def decided(self) -> bool:
        """Return whether more seeds can add precision only."""
        return self.word in (BETTER, WORSE, THE_SAME)


def decide(evidences: Sequence[Evidence], rule: Rule) -> list[Verdict]:
    """Return the verdict on each claim of a study: all of them together, as their number corrects each."""
    after = [one.looks(rule.alpha) for one in evidences]
    if rule.fixed is None:
        return [_anytime(*pair, rule) for pair in zip(evidences, after, strict=True)]
    p_values = holm([_t_test_p(one) for one in after] + [1.0] * (rule.claims - len(after)))
    return [_fixed(*one, rule.fixed) for one in zip(evidences, after, p_values[: len(after)], strict=True)]


def _anytime(evidence: Evidence, after: Looks, rule: Rule) -> Verdict:
    """Judge after each seed, in their order."""
    rejected = after.log_e >= -math.log(rule.alpha)
    better, worse, same = statements(after, rejected, evidence.worth, fixed=False)
    e_value = math.exp(min(float(after.log_e[-1]), 700.0))
    return _verdict(evidence, after, (_first(better), _first(worse), _first(same)), e_value=e_value)


def _fixed(evidence: Evidence, after: Looks, p: float, fixed: int) -> Verdict:
    """Judge once, at the number of seeds that was asked for: with fewer the verdict is still out."""
    better, worse, same = statements(after, np.full(after.n.shape, p <= ALPHA), evidence.worth, fixed=True)
    n = len(evidence.seeds) if evidence.trained >= fixed else None
    at_end = [n if each[-1] else None for each in (better, worse, same)]
    return _verdict(evidence, after, (at_end[0], at_end[1], at_end[2]), p=p)


def statements(after: Looks, rejected: Array, worth: float | None, *, fixed: bool) -> tuple[Array, Array, Array]:
    """Return at which numbers of seeds *better*, *worse* and *the same within worth* hold, each (..., n) of bool."""
    low, high = after.mean - after.over_both(fixed), after.mean + after.over_both(fixed)
    w = 0.0 if worth is None else worth
    return rejected & (low > 0), rejected & (high < 0), (low > -w) & (high < w)


def _first(holds: Array) -> int | None:
    return int(holds.argmax()) + 1 if holds.any() else None


def _verdict(
    evidence: Evidence,
    after: Looks,
    reached: tuple[int | None, int | None, int | None],
    *,
    e_value: float | None = None,
    p: float | None = None,
) -> Verdict:
    """Name the verdict; no side that diverged or collapsed on more seeds is better, nor the same."""
    better, worse, same = reached
    first = min((n for n in (better, worse) if n is not None), default=None)
    word = UNDECIDED if first is None else BETTER if first == better else WORSE
    failed, failed_against = evidence.failed
    blocked = {BETTER: failed > failed_against, WORSE: failed_against > failed}
    withheld = blocked.get(word, False) or (same is not None and failed != failed_against)
    if blocked.get(word):
        word, first = UNDECIDED, None
    same = None if failed != failed_against else same
    if word == UNDECIDED and same is not None:
        word = THE_SAME
    n = len(evidence.seeds)
    fixed = e_value is None
    return Verdict(
        word=SINGLE_RUN if n == 1 else word,
        within=same is not None,
        reached=first,
        same_reached=same,
        n=n,
        mean=float(after.mean[-1]),
        sd=float(after.sd[-1]) if n > 1 else None,
        seeds_interval=_interval(after.mean, after.over_seeds(fixed)),
        two_way=_interval(after.mean, after.over_both(fixed)),
        e_value=e_value,
        p=p,
        withheld=withheld,
    )


def _interval(mean: Array, half: Array) -> Interval | None:
    return (float(mean[-1] - half[-1]), float(mean[-1] + half[-1])) if np.isfinite(half[-1]) else None


def _t_test_p(after: Looks) -> float:
    """Two-sided p of the paired t test; 1 without a spread."""
    n, sd = len(after.n), float(after.sd[-1])
    if n == 1 or sd <= SAME:
        return 1.0
    return float(2 * special.stdtr(n - 1, -abs(float(after.mean[-1])) / (sd / math.sqrt(n))))


def futile(evidence: Evidence, rule: Rule, most: int) -> bool:
    """Return whether a verdict within `most` seeds is too unlikely to train more of them.

    The mean at `most` is predicted from the seeds so far, by a t distribution around theirs, the deviation is taken as
    it is. Stopping so cannot make a false statement likelier: the e-process holds at any look. Without predictions of
    a seed no further look has a verdict, and sides that are all alike have no spread to tell it from.
    """
    n = len(evidence.seeds)
    if n < FUTILE_FROM or n >= most or not evidence.has_predictions or evidence.all_alike:
        return n >= most or n >= FUTILE_FROM
    after = evidence.looks(rule.alpha)
    mean, sd = float(after.mean[-1]), float(after.sd[-1])
    half, error = _half_width_at(np.array([float(most)]), after, rule)[0], sd * math.sqrt(1 / n - 1 / most)
    if error == 0 or not math.isfinite(half):
        return False
    worth = evidence.worth or 0.0

    def below(limit: float) -> float:
        return float(special.stdtr(n - 1, (limit - mean) / error))

    decided = below(-half) + 1 - below(half)
    return decided + max(0.0, below(worth - half) - below(half - worth)) < FUTILE_BELOW


def needed_seeds(evidence: Evidence, rule: Rule) -> tuple[int, float] | None:
    """Return about how many seeds show a difference with POWER, if deviations stay as they are, and which difference.

    The difference is the evidence's worth, of shares no less than an image, or the first multiple of it that these test
    images can show at all; None if nothing tells the deviations, or no number of seeds up to MOST_NEEDED suffices.
    """
    after = evidence.looks(rule.alpha)
    sd = float(after.sd[-1])
    if evidence.worth is None or not evidence.images or sd <= SAME:
        return None
    image = 1 / evidence.images if objective_of(evidence.metric).is_share else 0.0
    n = np.arange(2.0, MOST_NEEDED + 1)
    shown = _half_width_at(n, after, rule) + special.ndtri(POWER) * sd / np.sqrt(n)
    for multiple in range(1, MOST_MULTIPLE + 1):
        difference = multiple * max(evidence.worth, image)
        if (shown <= difference).any():
            return int(n[(shown <= difference).argmax()]), difference
    return None


def _half_width_at(n: Array, after: Looks, rule: Rule) -> Array:
    """Return the half width of the deciding interval at numbers `n` of seeds, with the deviations of the last look."""
    return with_images(after.sd[-1] / np.sqrt(n) * anytime_factor(n, rule.alpha), after.of_images[-1], rule.alpha / 2)
