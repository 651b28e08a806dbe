"""The claims as sentences: one for each pair of variants, on the seeds that both finished.

The verdict rests on the paired t interval over seeds. The sign-flip test is printed beside it; only where it rejects as
well does a sentence say that chance does not explain the difference. With five seeds it cannot: no p is below 0.0625.
A claim whose figures were evaluated on training images is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hw2tune.inference.statistics import (
    ALPHA,
    McNemar,
    PairedComparison,
    compare_pairs,
    holm,
    mcnemar,
    median_seed,
)
from hw2tune.records.arrays import Array
from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.schema import TUNED, Side
from hw2tune.text.numbers import (
    changed_words,
    configuration_words,
    counted,
    listed,
    p_value,
    points,
    sentence,
    two_digits,
    value_words,
)

CAVEAT = "evaluated on the training images"
UNCHOSEN = "has no epoch that validation chose"
PREDICTIONS_MISSING = "the predictions on the median seed are missing; which images changed is not known."

INCREASE, DECREASE, NOT_DETECTED = "increase", "decrease", "not detected"
SINGLE_RUN, SAME, MISSING, REFUSED = "single run", "same configuration", "missing", "refused"

FLOOR_MATTERS = 10  # pairs up to which the smallest possible p is worth telling
UNEXPLAINED = "that chance does not explain"  # said only where the permutation test rejects, too
DOUBTED = "by its interval, though less sure by the permutation test"

COMPLETE_ARRAYS = ("labels", "predicted", "confidence")

Params = Mapping[str, Value]
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
    """Return the result of each claim of the study, in its order, whatever is missing."""
    return corrected(
        [claim(data, one.a.variant, one.b.variant, sentence=one.sentence) for one in data.overview.study.claims]
    )


def corrected(found: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The same claims with their p corrected for their number, by Holm."""
    tested = [one.comparison.permutation_p for one in found if one.comparison and one.comparison.n > 1]
    values = iter(holm(tested))
    return [replace(one, holm_p=next(values)) if one.comparison and one.comparison.n > 1 else one for one in found]


def claim(data: StudyData, variant: str, against: str, *, sentence: str = "") -> ClaimResult:
    """Return the result on `variant` - `against`, in test accuracy at the epoch that validation chose.

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
    """Return the result on a pair with seeds in common; `arrays` returns the arrays of both on a seed, or None."""
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
    """Return what makes the difference, to be followed by `changes test accuracy by`."""
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


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`variant` and `against`, by seed. `dropped` says which seeds are omitted and why, empty where none is."""

    variant: dict[int, Replicate]  # finished ones on the shared seeds, both in the same order
    against: dict[int, Replicate]
    dropped: list[str]

    @property
    def seeds(self) -> list[int]:
        """The seeds that both finished."""
        return list(self.variant)


def paired(variant: str, replicates: Sequence[Replicate], against: str, others: Sequence[Replicate]) -> Pair:
    """Pair replicates, called `variant` and `against`, on the seeds where both were evaluated.

    A diverged replicate takes its seed out of the comparison.
    """
    first, second = ({r.seed: r for r in each} for each in (replicates, others))
    seeds, dropped = [], []
    for seed in sorted(first.keys() | second.keys()):
        pair = (variant, first.get(seed)), (against, second.get(seed))
        absent = [(name, one) for name, one in pair if one is None or one.chosen is None]
        dropped += [f"{name} {one.state if one else 'was not trained'} on seed {seed}" for name, one in absent]
        seeds += [] if absent else [seed]
    return Pair(
        variant={seed: first[seed] for seed in seeds}, against={seed: second[seed] for seed in seeds}, dropped=dropped
    )


def overlaps_training(replicate: Replicate) -> bool:
    """Return whether a replicate was evaluated on images that it was trained on."""
    return any(evaluation.overlaps_training for evaluation in (replicate.chosen, replicate.last) if evaluation)


def params_of(data: StudyData, variant: str) -> Params | None:
    """The configuration of a variant: as trained, else as the study or the race has it; None where nobody knows."""
    if replicates := data.of(variant):
        return replicates[0].params
    study, side, winner = data.overview.study, data.side(variant), data.winner
    if side.of != TUNED:
        return study.hyperparameters({**study.references[side.of], **side.changes}).as_dict()
    if side.changes and TUNED in data.variants:
        tuned = params_of(data, TUNED)
    else:
        tuned = study.complete(winner.params) if winner else None
    if tuned is None or not side.changes:
        return tuned
    return study.hyperparameters({**tuned, **side.changes}).as_dict()


def same_configuration(params: Params | None, other: Params | None) -> bool:
    """Return whether two configurations train the same network; an absent hyperparameter is at its default."""
    return params is not None and other is not None and identity(params) == identity(other)


def plain_tuned(side: Side) -> bool:
    """Return whether a side is the winner as it is."""
    return side.of == TUNED and not side.changes


def same_sentence(data: StudyData, variant: str, against: str) -> str:
    """Return the sentence that two variants are one configuration, for two that are."""
    one, two = data.side(variant), data.side(against)
    if plain_tuned(one) and two.of == TUNED:
        values = listed([value_words(name, value) for name, value in two.changes.items()])
        return f"The tuned configuration has {values}: {variant} and {against} are the same configuration."
    if plain_tuned(one) and not two.changes:
        return f"The winner of the search is {against} itself: tuning changed nothing."
    return f"{variant} and {against} are the same configuration: there is nothing to compare."


def both(
    first: Mapping[str, Array] | None, second: Mapping[str, Array] | None
) -> tuple[Mapping[str, Array], ...] | None:
    """Two replicates' arrays; None where one has not all, or they saw different test images."""
    for arrays in (first, second):
        shapes = [arrays[name].shape for name in COMPLETE_ARRAYS if name in arrays] if arrays else []
        if len(shapes) < len(COMPLETE_ARRAYS) or len(set(shapes)) > 1:
            return None
    assert first and second
    return (first, second) if np.array_equal(first["labels"], second["labels"]) else None
