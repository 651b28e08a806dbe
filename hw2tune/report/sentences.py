"""Sentences of the claims: the verdict first, then what changed and by how much, then what limits it."""

from __future__ import annotations

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.units import units_words
from hw2tune.inference.verdicts import BETTER, SINGLE_RUN, THE_SAME, UNDECIDED, WORSE, Rule, Verdict, needed_seeds
from hw2tune.records.environment import UNITS
from hw2tune.study.objectives import objective_of, sign_of
from hw2tune.text.numbers import difference, listed, two_digits

HEADS = {BETTER: "Better", WORSE: "Worse", THE_SAME: "The same", UNDECIDED: "Undecided", SINGLE_RUN: "Single run"}


def claim_sentence(subject: str, evidence: Evidence, verdict: Verdict, rule: Rule) -> str:
    """Return the sentences of a claim. `subject` is what makes the difference: a verb follows it."""
    head = f"{verdict_words(evidence, verdict)}: {subject} {changes(evidence, verdict)} {_numbers(evidence, verdict)}."
    omitted = f"Omitted: {listed(evidence.omitted)}." if evidence.omitted else ""
    return " ".join(filter(None, [head, failures(evidence), _limits(evidence, verdict, rule), omitted]))


def verdict_words(evidence: Evidence, verdict: Verdict) -> str:
    """Return `Better`, `Better by less than 0.5 points`, `The same within 0.5 points`, `Undecided`."""
    head = HEADS[verdict.word]
    if verdict.word == THE_SAME:
        return f"{head} within {_worth(evidence)}"
    return f"{head} by less than {_worth(evidence)}" if verdict.within else head


def mean_words(evidence: Evidence, verdict: Verdict) -> str:
    """Return `+3.76 points`: the mean difference in the metric's own direction, below zero if it is less of it."""
    return difference(verdict.mean * sign_of(objective_of(evidence.metric).direction), evidence.metric)


def changes(evidence: Evidence, verdict: Verdict) -> str:
    """Return `raises test accuracy by 3.76 points`, or with a sign `changes ...` if no direction is told."""
    objective, change = objective_of(evidence.metric), mean_words(evidence, verdict)
    if verdict.word not in (BETTER, WORSE):
        return f"changes {objective.on_test} by {change}"
    return f"{'lowers' if change.startswith('-') else 'raises'} {objective.on_test} by {change.lstrip('+-')}"


def interval_words(evidence: Evidence, verdict: Verdict) -> str:
    """Return `+0.25 to +7.27` in points, as the metric is counted; empty without an interval."""
    known = verdict.interval or verdict.seeds_interval
    if known is None:
        return ""
    ends = sorted(end * sign_of(objective_of(evidence.metric).direction) for end in known)
    return " to ".join(difference(end, evidence.metric).removesuffix(" points").removesuffix(" nats") for end in ends)


def failures(evidence: Evidence) -> str:
    """Return `tuned diverged or collapsed on 2 of 7 seeds, baseline on none.`; empty if neither did."""
    if not any(evidence.failed):
        return ""
    first, second = (str(number) if number else "none" for number in evidence.failed)
    units = f"of {_units(evidence, evidence.trained)}"
    return f"{evidence.variant} diverged or collapsed on {first} {units}, {evidence.against} on {second}."


def _units(evidence: Evidence, number: int, text: str = "") -> str:
    """Return `7 seeds` or `7 searches`; `text` in place of the number."""
    return f"{text or number} {evidence.unit if number == 1 else UNITS[evidence.unit]}"


def repetitions(evidence: Evidence) -> str:
    """Return `7`, `7 searches of each side`, `3 splits x 2 seeds`."""
    n = len(evidence.seeds)
    if evidence.unit == "split":
        return units_words("split", evidence.units)
    return f"{n} searches of each side" if evidence.unit == "search" else str(n)


def _numbers(evidence: Evidence, verdict: Verdict) -> str:
    n, interval = verdict.n, interval_words(evidence, verdict)
    if n > 1 and not verdict.sd:
        return f"on each of {_units(evidence, n)}"
    one = {"seed": "replicate", "search": "search of each side", "split": "split"}[evidence.unit]
    many = f"n = {repetitions(evidence)}"
    if not interval:
        return f"on one {one}" if n == 1 else f"({many}, no interval yet)"
    early = f"; decided at n = {verdict.decided_at}" if verdict.decided_at not in (None, n) else ""
    return f"(95 % interval {interval}, {many}{early})"


def _limits(evidence: Evidence, verdict: Verdict, rule: Rule) -> str:
    """Return why there is no verdict, and what would bring it."""
    n = verdict.n
    if n > 1 and evidence.all_alike:
        alike = "Both sides have the same result on each test image, as one configuration trained twice has"
        return f"{alike}: check that the change takes effect."
    if n > 1 and not verdict.sd:
        return "Equal differences show no spread, so nothing tells how sure they are."
    if n > 1 and not evidence.has_predictions:
        return "Predictions are missing, so other test images cannot be accounted for."
    if verdict.decided or n == 1:
        return ""
    if verdict.withheld:
        return f"A side that fails on {_units(evidence, 2, 'more')} is neither better nor the same."
    if rule.fixed and evidence.trained < rule.fixed:
        return f"The verdict comes at the {_units(evidence, rule.fixed)} that were asked for."
    needed = needed_seeds(evidence, rule)
    if needed is None:
        return ""
    number, shown = needed
    difference = f"a true difference of {amount(evidence.metric, shown)}"
    if number <= n:
        return f"{_units(evidence, n)} would detect {difference}; a smaller one takes more."
    units = _units(evidence, number, f"{two_digits(number):,}")
    return f"Detecting {difference} would take about {units}."


def _worth(evidence: Evidence) -> str:
    assert evidence.worth is not None, "nothing is within a difference that nobody named"
    return amount(evidence.metric, evidence.worth)


def amount(metric: str, value: float) -> str:
    """Return `2.24 points`, `0.02 nats`: a size that was set, in as many digits as an interval inside of it has."""
    unit = difference(0.0, metric).partition(" ")[2]
    size = f"{value * (100 if unit == 'points' else 1):.3g}".replace("e-0", "e-")
    return f"{size} {unit}".strip()
