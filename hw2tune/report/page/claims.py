"""The tables behind the claims: the variants, the pairs."""

from __future__ import annotations

from collections import Counter

from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import (
    DASH,
    configuration,
    listed,
    p_number,
    percent,
    percent_interval,
    points,
    points_interval,
)


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
