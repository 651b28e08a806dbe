"""Sentences of the claims: the verdict first, then what changed and by how much, then what limits it."""

from __future__ import annotations

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import BETTER, SINGLE_RUN, THE_SAME, UNDECIDED, WORSE, Rule, Verdict, needed_seeds
from hw2tune.study.objectives import objective_of, sign_of
from hw2tune.text.numbers import counted, difference, listed, two_digits

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


def changes(evidence: Evidence, verdict: Verdict) -> str:
    """Return `raises test accuracy by 3.76 points`, or with a sign `changes ...` if no direction is told."""
    objective = objective_of(evidence.metric)
    change = difference(verdict.mean * sign_of(objective.direction), evidence.metric)
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
    seeds = f"of {counted(evidence.trained, 'seed')}"
    return f"{evidence.variant} diverged or collapsed on {first} {seeds}, {evidence.against} on {second}."


def _numbers(evidence: Evidence, verdict: Verdict) -> str:
    n, interval = verdict.n, interval_words(evidence, verdict)
    if n > 1 and not verdict.sd:
        return f"on each of {n} seeds"
    if not interval:
        return "on one replicate" if n == 1 else f"(n = {n}, no interval yet)"
    reached = verdict.reached or verdict.same_reached
    early = f"; decided at n = {reached}" if reached and reached < n else ""
    return f"(95 % interval {interval}, n = {n}{early})"


def _limits(evidence: Evidence, verdict: Verdict, rule: Rule) -> str:
    """Return why there is no verdict, and what would bring it."""
    n = verdict.n
    if n > 1 and not verdict.sd:
        return "Equal differences show no spread, so nothing tells how sure they are."
    if verdict.decided or n == 1:
        return ""
    if evidence.over_images is None:
        return "Predictions are missing, so other test images cannot be accounted for."
    if verdict.withheld:
        return "A side that fails on more seeds is neither better nor the same."
    if rule.fixed and evidence.trained < rule.fixed:
        return f"The verdict comes at the {rule.fixed} seeds that were asked for."
    needed = needed_seeds(evidence, rule)
    if needed is None:
        return ""
    number, shown = needed
    return f"Showing {amount(evidence.metric, shown)} would take about {two_digits(number):,} seeds."


def _worth(evidence: Evidence) -> str:
    assert evidence.worth is not None, "nothing is within a difference that nobody named"
    return amount(evidence.metric, evidence.worth)


def amount(metric: str, value: float) -> str:
    """Return `0.5 points`, `0.02 nats`: a size that was set, not measured."""
    unit = difference(0.0, metric).partition(" ")[2]
    return f"{value * (100 if unit == 'points' else 1):.2g} {unit}".strip()
