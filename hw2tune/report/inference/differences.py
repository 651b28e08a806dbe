"""A difference of test accuracies as the second half of a sentence."""

from __future__ import annotations

from hw2tune.report.inference.statistics import ALPHA, McNemar, PairedComparison
from hw2tune.text.numbers import counted, p_value, points, two_digits

FLOOR_MATTERS = 10  # pairs up to which the smallest possible p is worth telling
UNEXPLAINED = "that chance does not explain"  # said only where the permutation test rejects, too
DOUBTED = "by its interval, though less sure by the permutation test"
UNDECIDED = "by its interval over seeds"  # with so few pairs that the permutation test cannot reject


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
    p, floor = comparison.permutation_p, comparison.permutation_floor
    assert p is not None and floor is not None  # there is an interval, so there are two pairs or more
    at_floor = p <= floor * (1 + 1e-9)
    if at_floor and p > ALPHA:
        return f"{what} {UNDECIDED}; with n = {comparison.n} the permutation test cannot go below {floor:.3g}"
    limit = ""
    if comparison.n <= FLOOR_MATTERS:
        limit = (
            f", the smallest that n = {comparison.n} allows" if at_floor else f"; n = {comparison.n} allows {floor:.3g}"
        )
    return f"{what} {UNEXPLAINED if p <= ALPHA else DOUBTED} (permutation {p_value(p)}{limit})"


def _not_detected(comparison: PairedComparison) -> str:
    needed = comparison.needed_n or 0
    if needed <= comparison.n:
        return f"no difference detectable; n = {comparison.n} would show one of 0.1 in four cases of five"
    return f"no difference detectable; about n = {two_digits(needed):,} would be needed to see one of 0.1"


def mcnemar_words(test: McNemar, images: int, variant: str, against: str, seed: int) -> str:
    """McNemar's test on one pair of replicates."""
    return (
        f"On the median seed {seed}, {variant} fixed {counted(test.fixed, 'image')} that {against} got wrong and broke "
        f"{test.broken} that it got right, of {images:,} test images (McNemar's exact {p_value(test.p)})."
    )
