"""What stands first: the claims, the variants, the pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import TUNED, Claim, Study
from hw2tune.text.numbers import (
    DASH,
    configuration,
    counted,
    listed,
    objective_value,
    p_number,
    percent,
    percent_interval,
    points,
    points_interval,
)


def opening_prose(results: StudyResults) -> Prose:
    """What was studied, and the claims as sentences."""
    overview = results.data.overview
    study = overview.study
    about = (
        f"{study.model} on {results.data.label}, {study.loss.replace('_', ' ')} loss, {_chosen_by(study)}"
        f"{counted(study.max_epochs, 'epoch')}; {counted(len(overview.finished), 'trial')}, "
        f"{_n(results)}{_date(results)}."
    )
    claims = [claim.sentence for claim in results.claims] if results.data.replicates else [_no_replicates(results)]
    paragraphs = [*claims, *claims_added(results.data)]
    return Prose(name="claims", note=about, paragraphs=paragraphs, lead=True, caveat=results.caveat)


def claims_added(data: StudyData) -> list[str]:
    """Sentences on the claims that the study's first run did not have, with the day of the first run that had them."""
    asked = [(str(run.get("started"))[:10], claims) for run in data.environment if (claims := _asked(run)) is not None]
    days = [
        (one, next((day for day, claims in asked if _sides(one) in claims), ""))
        for one in data.overview.study.claims
        if asked and _sides(one) not in asked[0][1]
    ]
    return [
        f"{one.a.variant} against {one.b.variant} was added {f'on {day}, ' if day else ''}after the study's first run."
        for one, day in days
    ]


def _asked(run: Mapping[str, Any]) -> list[Any] | None:
    """The claims of the study when a run began; None where its entry is damaged or of an earlier version."""
    try:
        return [_sides(one) for one in TypeAdapter(list[Claim]).validate_python(run["study"]["claims"])]
    except (KeyError, ValidationError):
        return None


def _sides(claim: Claim) -> Any:
    return [(side.of, side.changes) for side in (claim.a, claim.b)]


def _chosen_by(study: Study) -> str:
    """What chose, where it is not what a reader expects: claims are always about test accuracy."""
    if study.objective == "validation_accuracy":
        return ""
    return f"chosen by {study.objective_spec.label} and tested by accuracy, "


def damaged_prose(results: StudyResults) -> list[Prose]:
    """What is there and could not be used: the claims rest on the rest."""
    damaged = results.data.damaged
    return [Prose(name="damaged", paragraphs=damaged)] if damaged else []


def variants_blocks(results: StudyResults) -> list[Block]:
    """The table of variants, the pairs, and what did not finish."""
    if not results.data.replicates:
        return []  # the opening says so
    return [*_unfinished(results), variants_summary(results), pairs_summary(results), *pairs_details(results)]


def variants_summary(results: StudyResults) -> Table:
    """One row a variant: what a reader looks for first."""
    rows = []
    for row in results.tables["variants"].to_dict("records"):
        variant = str(row["variant"])
        finished, there = results.count(variant)
        rows.append(
            Row(
                caveat=results.caveats.get(variant, ""),
                cells=[
                    variant,
                    percent(row["test_accuracy"]),
                    percent_interval(row["test_low"], row["test_high"]),
                    str(there) if finished == there else f"{finished} of {there}",
                    percent(row["last_test_accuracy"]),
                    percent(row["validation_accuracy"]),
                    str(row["chosen_epochs"]) or DASH,
                    configuration(results.data.of(variant)[0].params),
                ],
            )
        )
    return Table(
        name="variants",
        title="Accuracy of the variants",
        caption=(
            f"Means over the replicates, on {results.data.label}. Test is read at the epoch that validation "
            "chose, and once more at the last epoch; the 95 % t-interval is about other seeds. n counts replicates."
        ),
        columns=["Variant", "Test", "95 % interval", "n", "Last epoch", "Validation", "Epochs", "Configuration"],
        numeric=frozenset({"Test", "95 % interval", "n", "Last epoch", "Validation"}),
        rows=rows,
        file=results.file("tables", "variants.csv"),
    )


def pairs_summary(results: StudyResults) -> Table:
    """One row a claim, with the tests behind it."""
    rows = []
    for claim in results.claims:
        pair, tests = claim.comparison, claim.mcnemar
        cells = [DASH] * 6
        if pair is not None:
            cells = [
                points(pair.mean),
                points_interval(pair.low, pair.high),
                str(pair.n),
                _both(pair.permutation_p, claim.holm_p),
                f"{tests.fixed} / {tests.broken}" if tests else DASH,
                p_number(tests and tests.p),
            ]
        rows.append(Row(caveat=claim.caveat, cells=[f"{claim.variant} against {claim.against}", *cells, claim.verdict]))
    return Table(
        name="pairs",
        title="Differences between variants",
        caption=(
            "Differences in test accuracy, in points, between replicates of the same seed, with their 95 % t-interval, "
            "on which the verdict rests, and a two-sided sign-flip test. Both speak about other seeds, on these test "
            "images and this split. Where a sentence says which n would be needed, it is for 80 % power. Fixed and "
            "broken count the test images of the median seed alone, the one with the median difference, with "
            "McNemar's exact test. The sign-flip p stands in brackets as Holm corrects it for the number of "
            f"pairs tested; intervals and verdicts are not corrected.{chosen_on_these_seeds(results)}"
        ),
        columns=[
            "Pair",
            "Difference",
            "95 % interval",
            "n",
            "p (sign flip)",
            "Fixed / broken",
            "p (McNemar)",
            "Verdict",
        ],
        numeric=frozenset({"Difference", "95 % interval", "n", "p (sign flip)", "Fixed / broken", "p (McNemar)"}),
        rows=rows,
        file=results.file("tables", "pairs.csv"),
    )


def _both(p: float | None, corrected: float | None) -> str:
    """`0.0625 (0.188)`; one number where nothing had to be corrected."""
    return p_number(p) if corrected is None or corrected == p else f"{p_number(p)} ({p_number(corrected)})"


def pairs_details(results: StudyResults) -> list[Prose]:
    """Under the table of pairs, quietly: McNemar's test as a sentence, or why there is none."""
    details = [claim.detail for claim in results.claims if claim.detail]
    return [Prose(name="pairs-in-detail", note=" ".join(details), paragraphs=[])] if details else []


def chosen_on_these_seeds(results: StudyResults) -> str:
    """A further sentence of a caption: what the choice by the race may favour; empty where none has a part in it."""
    race = results.data.race
    sides = {results.data.side(name).of for claim in results.claims for name in (claim.variant, claim.against)}
    tested = {replicate.seed for replicate in results.data.of(TUNED)}
    if race is None or len(race.candidates) < 2 or TUNED not in sides or not tested & set(race.seeds):
        return ""  # they share a seed in studies of earlier versions alone
    return (
        " The tuned configuration was chosen by validation on the same seeds that are then tested, so one that was "
        "lucky on them may be slightly favoured; no test image had a part in it."
    )


def _no_replicates(results: StudyResults) -> str:
    overview = results.data.overview
    ended, best = counted(len(overview.finished), "trial"), overview.best
    if best is None:
        return f"Nothing to claim: of {ended}, none has a value. The table of trials says why each failed."
    objective = overview.study.objective
    return (
        f"Nothing to claim yet: the best of {ended} reached {objective_value(best.value, objective)} "
        f"{overview.study.objective_spec.label}, in one run. `hw2tune summarize {results.data.name}` trains the "
        "replicates that a claim rests on."
    )


def _n(results: StudyResults) -> str:
    numbers = [results.count(variant) for variant in results.data.variants if results.data.of(variant)]
    if not numbers:
        return "no replicates"
    finished = sorted({finished for finished, _ in numbers})
    return f"n = {finished[0]}" if len(finished) == 1 else f"n = {finished[0]} to {finished[-1]}"


def _date(results: StudyResults) -> str:
    started = [str(run["started"])[:10] for run in results.data.environment if "started" in run]
    return f", {started[-1]}" if started else ""


def _unfinished(results: StudyResults) -> list[Block]:
    parts = []
    for variant in results.data.variants:
        finished, there = results.count(variant)
        if finished < there:
            states = Counter(replicate.state for replicate in results.data.of(variant))
            states.pop(COMPLETE, None)
            parts.append(f"{listed([f'{n} {state}' for state, n in states.items()])} of {there} {variant}")
    if not parts:
        return []
    text = f"Not in the numbers: {'; '.join(parts)}. The table of replicates gives each reason."
    return [Prose(name="unfinished", paragraphs=[text])]
