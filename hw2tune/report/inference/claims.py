"""What was learned, in sentences: one for each pair of variants.

The verdict rests on the paired t interval over seeds. The sign-flip test is printed beside it; only where it rejects as
well does a sentence say that chance does not explain the difference. With five seeds it cannot: no p is below 0.0625.
A claim whose figures were evaluated on training images is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw2tune.records.replicates.records import BASELINE, L2, TUNED, TUNED_NO_L2
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.inference.differences import difference_words, mcnemar_words
from hw2tune.report.inference.pairs import Pair, overlaps_training, pair, params_of, predictions, same_configuration
from hw2tune.report.inference.selection import Optimism, optimism, race_sentence
from hw2tune.report.inference.statistics import McNemar, PairedComparison, compare_pairs, mcnemar, median_seed
from hw2tune.report.study_data import StudyData
from hw2tune.text.numbers import configuration_words, listed, sentence, weight_decay_words

__all__ = ["CAVEAT", "PAIRS", "Claim", "Optimism", "claims", "optimism", "race_sentence"]

PAIRS = ((L2, BASELINE), (TUNED, BASELINE), (TUNED, TUNED_NO_L2))
CAVEAT = "evaluated on the training images"
UNCHOSEN = "has no epoch that validation chose"
PREDICTIONS_MISSING = "the predictions on the median seed are missing; which images changed is not known."

INCREASE, DECREASE, NOT_DETECTED = "increase", "decrease", "not detected"
SINGLE_RUN, SAME, MISSING, REFUSED = "single run", "same configuration", "missing", "refused"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One pair of variants in text and numbers. What could not be computed is None, and the sentence says why."""

    variant: str
    against: str
    verdict: str  # INCREASE, DECREASE, NOT_DETECTED, SINGLE_RUN, SAME, MISSING or REFUSED
    sentence: str
    detail: str = ""  # McNemar's test on the median seed, as text
    caveat: str = ""  # CAVEAT where the claim is refused
    seeds: tuple[int, ...] = ()  # that both variants finished
    comparison: PairedComparison | None = None  # of test accuracies, as fractions
    median_seed: int | None = None  # whose pair stands for all: McNemar's test, fixed and broken images
    mcnemar: McNemar | None = None


def claims(data: StudyData) -> list[Claim]:
    """One claim for each of PAIRS, in this order, whatever is missing."""
    return [claim(data, variant, against) for variant, against in PAIRS]


def claim(data: StudyData, variant: str, against: str) -> Claim:
    """What the replicates say about `variant` - `against`, in test accuracy at the epoch that validation chose."""
    params, other = params_of(data, variant), params_of(data, against)
    if same_configuration(params, other):
        return Claim(variant=variant, against=against, verdict=SAME, sentence=_same(variant, against))
    if any(overlaps_training(replicate) for name in (variant, against) for replicate in data.of(name)):
        return Claim(
            variant=variant, against=against, verdict=REFUSED, sentence=_refused(variant, against), caveat=CAVEAT
        )
    shared = pair(data, variant, against)
    if not shared.seeds:
        return Claim(variant=variant, against=against, verdict=MISSING, sentence=_missing(data, variant, against))
    return _compared(data, variant, against, shared)


def _compared(data: StudyData, variant: str, against: str, shared: Pair) -> Claim:
    accuracies = [
        [r.chosen.accuracy for r in replicates.values() if r.chosen] for replicates in (shared.variant, shared.against)
    ]
    comparison = compare_pairs(*accuracies)
    seed = median_seed(shared.seeds, [a - b for a, b in zip(*accuracies, strict=True)])
    test = _mcnemar(data, variant, against, seed)
    return Claim(
        variant=variant,
        against=against,
        verdict=_verdict(comparison),
        sentence=sentence(f"{_subject(data, variant, against)} {difference_words(comparison)}{_left_out(shared)}"),
        detail=mcnemar_words(*test, variant, against, seed)
        if test
        else f"{variant} against {against}: {PREDICTIONS_MISSING}",
        seeds=tuple(shared.seeds),
        comparison=comparison,
        median_seed=seed,
        mcnemar=test and test[0],
    )


def _verdict(comparison: PairedComparison) -> str:
    if comparison.n == 1:
        return SINGLE_RUN
    if not comparison.excludes_zero:
        return NOT_DETECTED
    return INCREASE if comparison.mean > 0 else DECREASE


def _subject(data: StudyData, variant: str, against: str) -> str:
    params, other = params_of(data, variant) or {}, params_of(data, against) or {}
    if variant == TUNED and against == BASELINE:
        published = "the published L2 configuration: " if same_configuration(params, params_of(data, L2)) else ""
        return f"tuning ({published}{configuration_words(params)})"
    if not same_configuration({**params, "weight_decay": 0.0}, other):
        return f"{variant} ({configuration_words(params)}), against {against} ({configuration_words(other)}),"
    return f"{'in the tuned configuration, ' if variant == TUNED else ''}{weight_decay_words(params)}"


def _left_out(shared: Pair) -> str:
    return f" Omitted: {listed(shared.dropped)}." if shared.dropped else ""


def _same(variant: str, against: str) -> str:
    if (variant, against) == (TUNED, TUNED_NO_L2):
        return "The tuned configuration has no weight decay: tuned and tuned-no-l2 are the same configuration."
    if (variant, against) == (TUNED, BASELINE):
        return "The winner of the search is the baseline itself: tuning changed nothing."
    return f"{variant} and {against} are the same configuration: there is nothing to compare."


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


def _refused(variant: str, against: str) -> str:
    return f"{variant} against {against}: no claim, as accuracies were {CAVEAT}."


def _mcnemar(data: StudyData, variant: str, against: str, seed: int) -> tuple[McNemar, int] | None:
    arrays = predictions(data, variant, against, seed)
    if arrays is None:
        return None
    right, right_against = (each["predicted"] == each["labels"] for each in arrays)
    return mcnemar(right, right_against), len(right)
