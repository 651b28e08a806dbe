"""The beginning of a page: the claims, the variants, the pairs."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import TUNED, Claim
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
    """Return the subject of the study, and the claims as sentences."""
    overview = results.data.overview
    study = overview.study
    chosen = ""  # by what, unless it is what a reader expects: claims are always about test accuracy
    if study.objective != "validation_accuracy":
        chosen = f"chosen by {study.objective_spec.label} and tested by accuracy, "
    finished = sorted({results.count(variant)[0] for variant in results.data.variants if results.data.of(variant)})
    n = f"n = {' to '.join(str(one) for one in dict.fromkeys([finished[0], finished[-1]]))}" if finished else ""
    started = [str(run["started"])[:10] for run in results.data.environment if "started" in run]
    about = (
        f"{study.model} on {results.data.label}, {study.loss.replace('_', ' ')} loss, {chosen}"
        f"{counted(study.max_epochs, 'epoch')}; {counted(len(overview.finished), 'trial')}, "
        f"{', '.join([n or 'no replicates', *started[-1:]])}."
    )
    claims = [claim.sentence for claim in results.claims] if results.data.replicates else [_no_replicates(results)]
    paragraphs = [*claims, *claims_added(results.data)]
    return Prose(name="claims", note=about, paragraphs=paragraphs, lead=True, caveat=results.caveat)


def claims_added(data: StudyData) -> list[str]:
    """Sentences on the claims that the study's first run did not have, with the day of the first run that had them."""
    asked = []
    for run in data.environment:
        with contextlib.suppress(KeyError, ValidationError):  # damaged, or of an earlier version
            claims = TypeAdapter(list[Claim]).validate_python(run["study"]["claims"])
            asked.append((str(run.get("started"))[:10], [_sides(one) for one in claims]))
    days = [
        (one, next((f"on {day}, " for day, claims in asked if _sides(one) in claims), ""))
        for one in data.overview.study.claims
        if asked and _sides(one) not in asked[0][1]
    ]
    return [f"{one.a.variant} against {one.b.variant} was added {day}after the study's first run." for one, day in days]


def _sides(claim: Claim) -> Any:
    return [(side.of, side.changes) for side in (claim.a, claim.b)]


def _no_replicates(results: StudyResults) -> str:
    overview = results.data.overview
    ended, best = counted(len(overview.finished), "trial"), overview.best
    if best is None:
        return f"Nothing to claim: of {ended}, none has a value. The table of trials says why each failed."
    value = objective_value(best.value, overview.study.objective)
    return (
        f"Nothing to claim yet: the best of {ended} reached {value} {overview.study.objective_spec.label}, in one run. "
        f"`hw2tune summarize {results.data.name}` trains the replicates that a claim rests on."
    )


def damaged_prose(results: StudyResults) -> list[Prose]:
    """Return the notes on records that are there and could not be used: the claims rest on the others."""
    damaged = results.data.damaged
    return [Prose(name="damaged", paragraphs=damaged)] if damaged else []


def variants_blocks(results: StudyResults) -> list[Block]:
    """The table of variants, the pairs, and what did not finish."""
    if not results.data.replicates:
        return []  # the opening says so
    parts = []
    for variant in results.data.variants:
        states = Counter(replicate.state for replicate in results.data.of(variant))
        there, finished = states.total(), states.pop(COMPLETE, 0)
        if finished < there:
            parts.append(f"{listed([f'{n} {state}' for state, n in states.items()])} of {there} {variant}")
    text = f"Not in the numbers: {'; '.join(parts)}. The table of replicates gives each reason."
    unfinished = [Prose(name="unfinished", paragraphs=[text])] if parts else []
    return [*unfinished, variants_summary(results), pairs_summary(results), *pairs_details(results)]


def variants_summary(results: StudyResults) -> Table:
    """One row a variant: what a reader looks for first."""
    rows = []
    for row in results.tables["variants"].to_dict("records"):
        variant = str(row["variant"])
        finished, there = results.count(variant)
        cells = [variant, percent(row["test_accuracy"]), percent_interval(row["test_low"], row["test_high"])]
        cells += [str(there) if finished == there else f"{finished} of {there}"]
        cells += [percent(row["last_test_accuracy"]), percent(row["validation_accuracy"])]
        cells += [str(row["chosen_epochs"]) or DASH, configuration(results.data.of(variant)[0].params)]
        rows.append(Row(caveat=results.caveats.get(variant, ""), cells=cells))
    columns = ["Variant", "Test", "95 % interval", "n", "Last epoch", "Validation", "Epochs", "Configuration"]
    return Table(
        name="variants",
        title="Accuracy of the variants",
        caption=(
            f"Means over the replicates, on {results.data.label}. Test is read at the epoch that validation "
            "chose, and once more at the last epoch; the 95 % t-interval is about other seeds. n counts replicates."
        ),
        columns=columns,
        numeric=columns[1:6],
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
            p = p_number(pair.permutation_p)  # in brackets as corrected, where something had to be corrected
            p += f" ({p_number(claim.holm_p)})" if claim.holm_p not in (None, pair.permutation_p) else ""
            cells = [points(pair.mean), points_interval(pair.low, pair.high), str(pair.n), p]
            cells += [f"{tests.fixed} / {tests.broken}" if tests else DASH, p_number(tests and tests.p)]
        rows.append(Row(caveat=claim.caveat, cells=[f"{claim.variant} against {claim.against}", *cells, claim.verdict]))
    numbers = ["Difference", "95 % interval", "n", "p (sign flip)", "Fixed / broken", "p (McNemar)"]
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
        columns=["Pair", *numbers, "Verdict"],
        numeric=numbers,
        rows=rows,
        file=results.file("tables", "pairs.csv"),
    )


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
