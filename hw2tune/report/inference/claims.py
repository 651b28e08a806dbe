"""What was learned, in sentences: one for each pair of variants.

The verdict rests on the paired t interval over seeds. The sign-flip test is printed beside it; only where it rejects as
well does a sentence say that chance does not explain the difference. With five seeds it cannot: no p is below 0.0625.
A claim whose figures were evaluated on training images is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hw2tune.records.replicates import Array
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.inference.pairs import (
    Pair,
    both,
    overlaps_training,
    paired,
    params_of,
    plain_tuned,
    same_configuration,
    same_sentence,
)
from hw2tune.report.inference.statistics import (
    ALPHA,
    McNemar,
    PairedComparison,
    compare_pairs,
    holm,
    mcnemar,
    median_seed,
)
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import (
    changed_words,
    configuration_words,
    counted,
    listed,
    p_value,
    points,
    sentence,
    two_digits,
)

CAVEAT = "evaluated on the training images"
UNCHOSEN = "has no epoch that validation chose"
PREDICTIONS_MISSING = "the predictions on the median seed are missing; which images changed is not known."

INCREASE, DECREASE, NOT_DETECTED = "increase", "decrease", "not detected"
SINGLE_RUN, SAME, MISSING, REFUSED = "single run", "same configuration", "missing", "refused"

FLOOR_MATTERS = 10  # pairs up to which the smallest possible p is worth telling
UNEXPLAINED = "that chance does not explain"  # said only where the permutation test rejects, too
DOUBTED = "by its interval, though less sure by the permutation test"

Arrays = tuple[Mapping[str, Array] | None, Mapping[str, Array] | None]  # of two replicates, as far as they are known


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
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
    holm_p: float | None = None  # the sign-flip test's p, corrected for all claims of the study


def claims(data: StudyData) -> list[ClaimResult]:
    """What became of each claim of the study, in its order, whatever is missing."""
    return corrected(
        [claim(data, one.a.variant, one.b.variant, sentence=one.sentence) for one in data.overview.study.claims]
    )


def corrected(found: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The same claims with their p corrected for their number, by Holm."""
    tested = [one.comparison.permutation_p for one in found if one.comparison and one.comparison.n > 1]
    values = iter(holm(tested))
    return [replace(one, holm_p=next(values)) if one.comparison and one.comparison.n > 1 else one for one in found]


def claim(data: StudyData, variant: str, against: str, *, sentence: str = "") -> ClaimResult:
    """What the replicates say about `variant` - `against`, in test accuracy at the epoch that validation chose.

    `sentence` is what the study file says makes the difference; without it, what differs between the two is said.
    """
    found = partial(ClaimResult, variant=variant, against=against)
    replicates, others = data.of(variant), data.of(against)
    if same_configuration(params_of(data, variant), params_of(data, against)):
        return found(verdict=SAME, sentence=same_sentence(data, variant, against))
    if any(overlaps_training(replicate) for replicate in (*replicates, *others)):
        refused = f"{variant} against {against}: no claim, as accuracies were {CAVEAT}."
        return found(verdict=REFUSED, sentence=refused, caveat=CAVEAT)
    shared = paired(variant, replicates, against, others)
    if not shared.seeds:
        return found(verdict=MISSING, sentence=_missing(data, variant, against))
    subject = sentence or _subject(data, variant, against)
    return compared(
        variant, against, shared, subject, lambda seed: (data.arrays(variant, seed), data.arrays(against, seed))
    )


def compared(variant: str, against: str, shared: Pair, subject: str, arrays: Callable[[int], Arrays]) -> ClaimResult:
    """What a pair with seeds in common says; `arrays` gives what is known of both on a seed."""
    accuracies = [[r.chosen.accuracy for r in side.values() if r.chosen] for side in (shared.variant, shared.against)]
    comparison = compare_pairs(*accuracies)
    seed = median_seed(shared.seeds, [a - b for a, b in zip(*accuracies, strict=True)])
    omitted = f" Omitted: {listed(shared.dropped)}." if shared.dropped else ""
    test, detail = None, f"{variant} against {against}: {PREDICTIONS_MISSING}"
    if predictions := both(*arrays(seed)):
        right, right_against = (each["predicted"] == each["labels"] for each in predictions)
        test = mcnemar(right, right_against)
        detail = (
            f"On the median seed {seed}, {variant} fixed {counted(test.fixed, 'image')} that {against} got wrong and "
            f"broke {test.broken} that it got right, of {len(right):,} test images (McNemar's exact {p_value(test.p)})."
        )
    direction = INCREASE if comparison.mean > 0 else DECREASE
    return ClaimResult(
        variant=variant,
        against=against,
        verdict=SINGLE_RUN if comparison.n == 1 else direction if comparison.excludes_zero else NOT_DETECTED,
        sentence=sentence(f"{subject} {difference_words(comparison)}{omitted}"),
        detail=detail,
        seeds=tuple(shared.seeds),
        comparison=comparison,
        median_seed=seed,
        mcnemar=test,
    )


def difference_words(comparison: PairedComparison) -> str:
    """`changes test accuracy by -0.05 points (95 % interval -0.31 to +0.21, n = 5): no difference detectable; ...`."""
    changes = f"changes test accuracy by {points(comparison.mean)} points"
    if comparison.low is None or comparison.high is None:
        return f"{changes} on one replicate: a single run, no interval."
    if not comparison.has_spread:
        return f"{changes} on each of {comparison.n} seeds: no difference detectable, as nothing tells its spread."
    interval = f"(95 % interval {points(comparison.low)} to {points(comparison.high)}, n = {comparison.n})"
    return f"{changes} {interval}: {_detected(comparison) if comparison.excludes_zero else _not_detected(comparison)}."


def _detected(comparison: PairedComparison) -> str:
    what = "an increase" if comparison.mean > 0 else "a decrease"
    p, floor, n = comparison.permutation_p, comparison.permutation_floor, comparison.n
    assert p is not None and floor is not None  # there is an interval, so there are two pairs or more
    at_floor = p <= floor * (1 + 1e-9)
    if at_floor and p > ALPHA:  # with so few pairs the permutation test cannot reject
        return f"{what} by its interval over seeds; with n = {n} the permutation test cannot go below {floor:.3g}"
    limit = f", the smallest that n = {n} allows" if at_floor else f"; n = {n} allows {floor:.3g}"
    limit = limit if n <= FLOOR_MATTERS else ""
    return f"{what} {UNEXPLAINED if p <= ALPHA else DOUBTED} (permutation {p_value(p)}{limit})"


def _not_detected(comparison: PairedComparison) -> str:
    needed = comparison.needed_n or 0
    if needed <= comparison.n:
        return f"no difference detectable; n = {comparison.n} would show one of 0.1 in four cases of five"
    return f"no difference detectable; about n = {two_digits(needed):,} would be needed to see one of 0.1"


def _subject(data: StudyData, variant: str, against: str) -> str:
    """What makes the difference, to be followed by `changes test accuracy by`."""
    params, other = params_of(data, variant) or {}, params_of(data, against) or {}
    one, two, study = data.side(variant), data.side(against), data.overview.study
    if plain_tuned(one) and two.of != TUNED and not two.changes:
        same = [name for name in study.references if same_configuration(params, study.reference(name).as_dict())]
        return f"tuning ({f'the reference {same[0]}: ' if same else ''}{configuration_words(params)})"
    changed = {name for name in params.keys() | other.keys() if params.get(name) != other.get(name)}
    if one.of == two.of and (plain_tuned(one) or plain_tuned(two)):
        return f"in the tuned configuration, {changed_words(params, other)}"
    if changed <= {"weight_decay"}:
        return changed_words(params, other)
    return f"{variant} ({configuration_words(params)}), against {against} ({configuration_words(other)}),"


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
