"""The cost of a study before it runs, estimated from measured speeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from hw2tune.events import StudyStarted
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.search.landing import in_bracket
from hw2tune.search.lengths import epochs_to_come, going_on, halved
from hw2tune.study.schema import Study

BETWEEN_EPOCHS = 0.04  # seconds from the end of a trial's epoch to the next, through Tune; see benchmarks.checkpoints
IN_STUDY = "measured in this study"


@dataclass(frozen=True, kw_only=True)
class SeedsCost:
    """Cost of replicates on `seeds` seeds, as far as they are missing, those of the race included."""

    seeds: int
    trainings: int
    epochs: int
    seconds: float
    # Difference seen with 80 %, in the objective's unit on test images; None if it is not known, infinite if so few
    # seeds have no verdict.
    smallest: float | None


@dataclass(frozen=True, kw_only=True)
class ReplicatesCost:
    """Costs of several numbers of seeds. `source` says which spread of differences is behind `smallest`.

    If searches or splits are repeated, `units` says how many, of how many seeds; `at_least`, that the spread is that of
    seeds alone, to which theirs is added.
    """

    each: tuple[SeedsCost, ...]
    claims: int
    source: str
    finalists: SeedsCost | None = None  # of the change made in each finalist, at most; None if it is not asked for
    units: str = ""
    at_least: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of wall time for the trials left: if the pruner stops as planned, and if it stops none."""

    pruned_seconds: float
    full_seconds: float
    epoch_seconds: float  # of one training
    source: str  # of `epoch_seconds`
    replicates: ReplicatesCost | None = None


def estimate(plan: StudyStarted, folder: StudyFolder, epoch_seconds: float, source: str) -> Cost:
    """The cost of the trials left, by the seconds of an epoch measured in the study, or else by those given.

    References are trained to the end whatever the pruner says. With a budget, its epochs left count.
    """
    study, left, references = plan.study, plan.left + len(plan.resumed), plan.references_left
    records = [record for number in range(10) for record in read_epochs(folder.trial(number))]
    if measured := [float(one) for record in records if isinstance(one := record.get("epoch_seconds"), int | float)]:
        epoch_seconds, source = median(measured), IN_STUDY
    full = float(left * study.max_epochs)
    pruned = references * study.max_epochs + (left - references) * epochs_to_come(going_on(study, plan.finished))[0]
    if study.budget_epochs is not None:
        of_budget = max(0.0, study.budget_epochs - plan.epochs)
        full, pruned = min(full, of_budget), min(pruned, of_budget)
    slots = plan.capacity.concurrency
    if study.order == "virtual":
        slots = min(slots, study.slots or slots)  # of more it makes no use

    def seconds(epochs: float) -> float:
        """Of wall time: the trials that fit at once share them, and one of them is trained to the end alone."""
        in_turn = max(epochs / slots, min(epochs, study.max_epochs))
        if study.budget_epochs is not None:
            in_turn = max(in_turn, _in_bracket(study, int(epochs), slots, references))
        return in_turn * (epoch_seconds + BETWEEN_EPOCHS)

    return Cost(pruned_seconds=seconds(pruned), full_seconds=seconds(full), epoch_seconds=epoch_seconds, source=source)


def _in_bracket(study: Study, epochs: int, slots: int, references: int) -> int:
    """The epochs in turn of references and of trials that wait for each other at their rungs; 0 if none would."""
    left = epochs - references * study.max_epochs
    if not in_bracket(study, left, slots):
        return 0
    first = 0 if slots > references else math.ceil(references / slots) * study.max_epochs
    free = slots if first else slots - references
    trials, done, in_turn = int(left / epochs_to_come(halved(study))[0]), 0, 0
    for stop in (*study.rungs, study.max_epochs):
        in_turn += math.ceil(trials / free) * (stop - done)
        trials, done = max(1, trials // study.pruner.reduction_factor), stop
    return first + min(in_turn, left)


def together(costs: Sequence[Cost]) -> Cost:
    """Return the cost of searches one after the other, at the speed of the first."""
    return replace(
        costs[0],
        pruned_seconds=sum(one.pruned_seconds for one in costs),
        full_seconds=sum(one.full_seconds for one in costs),
    )
