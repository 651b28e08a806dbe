"""The claims of a study: one result for each pair of variants, on the seeds that both finished.

All claims are judged together by the rule of `inference.verdicts`. A claim whose figures were evaluated on training
images is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hw2tune.inference.evidence import Evidence, Pair, gather, labels_of, right_predictions
from hw2tune.inference.statistics import median_seed
from hw2tune.inference.units import by_unit
from hw2tune.inference.verdicts import Rule, Verdict, decide, needed_seeds
from hw2tune.records.environment import planned, replicates_runs
from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.configurations import params_of, same_configuration, same_sentence, subject_of, winner_sentence
from hw2tune.report.sentences import claim_sentence, verdict_words
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import Claim, is_tuning
from hw2tune.text.numbers import counted, listed

CAVEAT = "evaluated on the training images"
UNCHOSEN = "has no epoch that validation chose"
PREDICTIONS_MISSING = "the predictions on the median seed are missing; which images changed is not known."

SAME, MISSING, REFUSED = "same configuration", "missing", "refused"

REPORT_SCHEMA = 2  # of summary.json and `compare --json`, whose verdicts 1 made by another rule


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """One pair of variants in text and numbers. What could not be computed is None, and the sentence says why."""

    variant: str
    against: str
    verdict: str  # of `inference.verdicts`, or SAME, MISSING or REFUSED
    sentence: str
    detail: str = ""  # what changed on the median seed, as text
    caveat: str = ""  # CAVEAT if the claim is refused
    evidence: Evidence | None = None
    result: Verdict | None = None
    needed: tuple[int, float] | None = None  # seeds that would show a difference, and this difference
    median_seed: int | None = None  # whose pair stands for all: fixed and broken images
    fixed: int | None = None
    broken: int | None = None

    @property
    def pair(self) -> str:
        """The names of both sides as text."""
        return f"{self.variant} against {self.against}"

    @property
    def words(self) -> str:
        """The verdict as text: `better by less than 0.5 points`, `same configuration`."""
        if self.evidence is None or self.result is None:
            return self.verdict
        return verdict_words(self.evidence, self.result).lower()

    @property
    def numbers(self) -> dict[str, Any]:
        """The claim as flat names and values, for tables and programs: accuracies as fractions."""
        evidence, result = self.evidence, self.result
        texts = ("variant", "against", "verdict", "caveat", "sentence", "detail")
        own = {name: getattr(self, name) for name in (*texts, "median_seed", "fixed", "broken")}
        if evidence is None or result is None:
            return {**own, "n": 0, "seeds": [], "differences": []}
        (low, high), (seeds_low, seeds_high), (two_way_low, two_way_high) = (
            one or (None, None) for one in (result.interval, result.seeds_interval, result.two_way)
        )
        failed, failed_against = evidence.failed
        pairs = evidence.by_seed
        each = zip(evidence.units, pairs.seeds, pairs.differences.tolist(), strict=True) if pairs else ()
        return {
            **own, "unit": evidence.unit,
            "by_seed": [{evidence.unit: unit, "seed": seed, "difference": one} for unit, seed, one in each],
            "seeds": list(evidence.seeds), "differences": evidence.differences.tolist(),
            "metric": evidence.metric, "worth": evidence.worth, "trained": evidence.trained,
            "failed": failed, "failed_against": failed_against,
            "within": result.within, "n": result.n, "difference": result.mean, "sd": result.sd,
            "low": low, "high": high, "seeds_low": seeds_low, "seeds_high": seeds_high,
            "two_way_low": two_way_low, "two_way_high": two_way_high, "e_value": result.e_value, "p": result.p,
            "reached": result.reached, "same_reached": result.same_reached,
            "needed_n": self.needed and self.needed[0], "needed_difference": self.needed and self.needed[1],
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A pair with seeds in common. `subject` is what makes the difference; `predictions` are of both sides, by seed."""

    evidence: Evidence
    subject: str
    predictions: Callable[[int], Pair]
    last: str = ""  # sentence after all others


def claims(data: StudyData) -> list[ClaimResult]:
    """Return the result of each claim of the study, in its order, whatever is missing."""
    return judged([_tested(data, one) for one in data.overview.study.claims], rule_of(data))


def rule_of(data: StudyData) -> Rule:
    """Return the rule by which the claims are judged: by their number, and what was asked for when."""
    number, fixed = planned(data.environment, data.overview.study.claims, data.family)
    return Rule(claims=max(1, number), fixed=fixed)


def judged(found: Sequence[ClaimResult | Tested], rule: Rule) -> list[ClaimResult]:
    """Return the results of all pairs, judged together; those that could not be tested are results already."""
    verdicts = iter(decide([one.evidence for one in found if isinstance(one, Tested)], rule))
    return [one if isinstance(one, ClaimResult) else _result(one, next(verdicts), rule) for one in found]


def _tested(data: StudyData, claim: Claim) -> ClaimResult | Tested:
    variant, against = claim.a.variant, claim.b.variant
    found = partial(ClaimResult, variant=variant, against=against)
    replicates, others = _for_this_claim(data, variant, against)
    study = data.overview.study
    if study.searches == 1 and same_configuration(params_of(data, variant), params_of(data, against)):
        return found(verdict=SAME, sentence=same_sentence(data, variant, against))
    if any(overlaps_training(replicate) for replicate in (*replicates, *others)):
        refused = f"{variant} against {against}: no claim, as accuracies were {CAVEAT}."
        return found(verdict=REFUSED, sentence=refused, caveat=CAVEAT)

    def predictions(seed: int) -> Pair:
        return data.predictions(variant, seed), data.predictions(against, seed)

    metric = data.overview.study.objective
    evidence = gather(variant, replicates, against, others, arrays=predictions, metric=metric, worth=claim.worth)
    unit, each = data.family
    if unit != "seed":
        evidence = by_unit(evidence, unit, data.unit_of, each)
    if not evidence.seeds:
        return found(verdict=MISSING, sentence=_missing(data, variant, against))
    subject = claim.sentence or subject_of(data, variant, against)
    last = [_accuracy_only(data)] if evidence.metric != metric else []
    last += [winner_sentence(data)] if is_tuning(claim) and not claim.sentence else []
    return Tested(evidence=evidence, subject=subject, predictions=predictions, last=" ".join(last))


def _for_this_claim(data: StudyData, variant: str, against: str) -> list[list[Replicate]]:
    """Return the replicates of both sides; seeds beyond the number asked for that one side has are for other claims.

    Those of searches that the study has no more are omitted, and those of seeds beyond the first search's own.
    """
    sides, noted, (unit, _) = [data.of(variant), data.of(against)], replicates_runs(data.environment), data.family
    if unit == "search":
        counting = data.overview.study.searches if not noted or noted[-1].unit == unit else 1
        sides = [[one for one in side if data.unit_of(one.seed) < counting] for side in sides]
    runs = [run for run in noted if run.unit == unit]
    if not all(sides) or not runs:
        return sides
    asked = runs[-1].seeds if runs[-1].asked != "auto" else ()
    last = max([min(side[-1].seed for side in sides), *asked])
    return [[one for one in side if one.seed <= last] for side in sides]


def _accuracy_only(data: StudyData) -> str:
    wanted = data.overview.study.objective_spec.on_test
    return (
        f"An earlier version tested these replicates, for accuracy only; `hw2tune summarize {data.called}` tests them "
        f"in {wanted}, and trains nothing."
    )


def _result(tested: Tested, verdict: Verdict, rule: Rule) -> ClaimResult:
    evidence = tested.evidence
    variant, against = evidence.variant, evidence.against
    seed = median_seed(evidence.pairs.seeds, evidence.pairs.differences)
    pair = tested.predictions(seed)
    right, right_against = (right_predictions(one, labels_of([pair])) for one in pair)
    found = partial(
        ClaimResult,
        variant=variant,
        against=against,
        verdict=verdict.word,
        sentence=f"{claim_sentence(tested.subject, evidence, verdict, rule)} {tested.last}".strip(),
        evidence=evidence,
        result=verdict,
        needed=needed_seeds(evidence, rule),
        median_seed=seed,
    )
    if right is None or right_against is None:
        return found(detail=f"{variant} against {against}: {PREDICTIONS_MISSING}")
    change = right - right_against
    fixed, broken = int((change > 0).sum()), int((change < 0).sum())
    told = (
        f"On the median seed {seed}, {variant} fixed {counted(fixed, 'image')} that {against} got wrong and broke "
        f"{broken:,} that it got right, of {len(change):,} test images."
    )
    return found(detail=told, fixed=fixed, broken=broken)


def _missing(data: StudyData, variant: str, against: str) -> str:
    if not data.replicates:
        return f"{variant} against {against}: nothing to compare, there are no replicates."
    reasons = [reason for name in (variant, against) if (reason := _absence(data, name))]
    why = listed(reasons) if reasons else "no seed was finished by both"
    return f"{variant} against {against}: nothing to compare, {why}."


def _absence(data: StudyData, variant: str) -> str:
    replicates = data.of(variant)
    if any(replicate.chosen for replicate in replicates):
        return ""
    if not replicates:
        return f"{variant} has no replicates"
    states = sorted({UNCHOSEN if replicate.state == COMPLETE else replicate.state for replicate in replicates})
    return f"{variant} {' or '.join(states)} on {'its only seed' if len(replicates) == 1 else 'every seed'}"


def overlaps_training(replicate: Replicate) -> bool:
    """Return whether a replicate was evaluated on images that it was trained on."""
    return any(evaluation.overlaps_training for evaluation in (replicate.chosen, replicate.last) if evaluation)
