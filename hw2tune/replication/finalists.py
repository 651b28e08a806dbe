"""The cheap half step without a second search: the change of a claim is made in each finalist of the race.

A claim on the winner says what a change does in one configuration. Made in each finalist, on common fresh seeds, and
read on validation images, it is a specification curve: the differences, and their mean over configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hw2tune.errors import StudyFileError
from hw2tune.records.finalists import Specification, SpecificationCurve, write_curves
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Training, read_race
from hw2tune.records.trials.rows import TrialRow
from hw2tune.replication.race import candidates
from hw2tune.replication.train import Context, train_missing
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.schema import TUNED, Claim, Study
from hw2tune.text.numbers import changed_words
from hw2tune.train.task import Job, task_of

FINALIST_SEEDS = 2001  # from the study's own: after those of claims and race
MOST_CHANGES = 3  # hyperparameters in which two references may differ for it to be one change

Values = Mapping[str, Value]


def change_of(study: Study, claim: Claim) -> tuple[Values, Values] | None:
    """Return the values that each side of a claim has instead of the other's, or None if they differ otherwise.

    Two sides of `tuned` differ in their `with`; no values stand for the finalist's own. Two references are a change if
    they have the same hyperparameters and differ in the values of a few. The winner and a reference are none.
    """
    sides = claim.a, claim.b
    if all(side.of == TUNED for side in sides):
        return None if claim.a.changes == claim.b.changes else (claim.a.changes, claim.b.changes)
    if any(side.of not in study.references for side in sides):
        return None
    first, second = (study.complete({**study.references[side.of], **side.changes}) for side in sides)
    known, other = dict(identity(first)), dict(identity(second))
    names = [name for name in known if known[name] != other.get(name)]
    if known.keys() != other.keys() or not 0 < len(names) <= MOST_CHANGES:
        return None
    return {name: first.get(name, known[name]) for name in names}, {
        name: second.get(name, other[name]) for name in names
    }


def refuse_each_finalist(study: Study, seeds: int) -> None:
    """Raise StudyFileError for a study with arms, whose sides are tuned each: no change is made in a finalist."""
    if study.arms and seeds:
        raise StudyFileError(f"--each-finalist: {study.name} tunes each side in its arms; leave it out")


def run_each_finalist(context: Context, overview: Overview, *, seeds: int, race: int) -> None:
    """Train the missing pairs of each claim about a change, and write the curves. No test image is read."""
    study = overview.study
    if not any(change_of(study, claim) for claim in study.claims):
        context.tell.note(
            f"{study.name}: no claim is about a change, so there is none to make in each finalist; claim "
            '`tuned` against `{ of = "tuned", with = { ... } }`'
        )
        return
    numbers = [study.seed + FINALIST_SEEDS + number for number in range(seeds)]
    # Without a claim about the winner there is no race. One of an earlier version may have had other finalists.
    there, by_number = read_race(context.folder), {row.number: row for row in overview.rows}
    rows = [by_number[one.trial] for one in there.candidates] if there else candidates(overview, race)
    curves = specification_curves(study, rows, seeds=numbers, train=lambda jobs: train_missing(context, jobs))
    write_curves(context.folder, curves)


def specification_curves(
    study: Study, rows: Sequence[TrialRow], *, seeds: Sequence[int], train: Callable[[list[Job]], list[Training]]
) -> list[SpecificationCurve]:
    """Return the curve of each claim about a change, over the finalists `rows`; `train` has all jobs in one call."""
    changes = [(claim, change) for claim in study.claims if (change := change_of(study, claim))]
    pairs = {
        (number, row.number): [_jobs(study, row, values, seeds) for values in change]
        for number, (_, change) in enumerate(changes)
        for row in rows
        if _changes_something(study, row, change)
    }
    jobs = [job for pair in pairs.values() for side in pair for job in side]
    trained = (training.value(study.objective) for training in train(jobs))
    values = {key: [[next(trained) for _ in side] for side in pair] for key, pair in pairs.items()}
    return [
        SpecificationCurve(
            variant=claim.a.variant,
            against=claim.b.variant,
            changes=dict(change[0]),
            instead=dict(change[1]),
            objective=study.objective,
            direction=study.direction,
            seeds=list(seeds),
            specifications=[
                Specification(trial=row.number, params=row.params, values=pair[0], against=pair[1])
                for row in rows
                if (pair := values.get((number, row.number)))
            ],
            unchanged=[row.number for row in rows if (number, row.number) not in values],
        )
        for number, (claim, change) in enumerate(changes)
    ]


def _changes_something(study: Study, row: TrialRow, change: tuple[Values, Values]) -> bool:
    first, second = (identity(study.complete({**row.params, **values})) for values in change)
    return first != second


def _jobs(study: Study, row: TrialRow, values: Values, seeds: Sequence[int]) -> list[Job]:
    """Return the training of a finalist with these values on each seed."""
    hyperparameters = study.hyperparameters({**row.params, **values})
    words = f" with {changed_words(hyperparameters.as_dict(), row.params)}" if values else ""
    return [
        Job(
            label=f"finalist: trial {row.number}{words} seed {seed}",
            task=task_of(study, hyperparameters, seed),
        )
        for seed in seeds
    ]
