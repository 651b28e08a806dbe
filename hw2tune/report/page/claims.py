"""The tables behind the claims: the variants, the pairs."""

from __future__ import annotations

from collections import Counter

from hw2tune.records.environment import UNITS
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.claims import rule_of
from hw2tune.report.configurations import trained_configurations
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.report.sentences import amount, interval_words, mean_words, repetitions
from hw2tune.study.objectives import objective_of, sign_of
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import (
    DASH,
    configuration,
    counted,
    listed,
    objective_value,
    percent,
    percent_interval,
    sentence,
)

MOST_EPOCHS = 7  # seeds whose epochs are listed one by one
_EACH = {
    "search": "Each is of one search: of its two winners, on fresh seeds common to both. ",
    "split": "Each split of training and validation images counts with the mean over its seeds. ",
}


def variants_blocks(results: StudyResults) -> list[Block]:
    """The table of variants, the pairs, and what did not finish."""
    if not results.data.replicates:
        return []  # the opening says so
    parts = []
    for variant in results.data.variants:
        states = Counter(replicate.state for replicate in results.data.of(variant))
        there, finished = states.total(), states.pop(COMPLETE, 0)
        if finished < there:
            ended = listed([f"{n} {state}" for state, n in states.items()])
            parts.append(f"{ended} of {counted(there, 'seed')} of {variant}")
    text = f"Not in the numbers: {'; '.join(parts)}. The table of replicates gives each reason."
    unfinished = [Prose(name="unfinished", paragraphs=[text])] if parts else []
    return [*unfinished, variants_summary(results), pairs_summary(results), *pairs_details(results)]


def variants_summary(results: StudyResults) -> Table:
    """One row a variant: what a reader looks for first. The objective's own metric stands before accuracy."""
    rows, objective, unit = [], results.data.overview.study.objective_spec, results.data.family[0]
    other = [] if objective.metric == "accuracy" else [sentence(objective.on_test), "Its 95 % interval"]
    for row in results.tables["variants"].to_dict("records"):
        variant = str(row["variant"])
        finished, there = results.count(variant)
        interval = [objective_value(row[end], objective.name) for end in ("value_low", "value_high")]
        own = [objective_value(row["test_value"], objective.name), DASH if DASH in interval else " to ".join(interval)]
        cells = [variant, *(own if other else []), percent(row["test_accuracy"])]
        cells += [percent_interval(row["test_low"], row["test_high"])]
        cells += [str(there) if finished == there else f"{finished} of {there}"]
        cells += [percent(row["last_test_accuracy"]), percent(row["validation_accuracy"])]
        cells += [_epochs(str(row["chosen_epochs"])), _trained(results, variant)]
        rows.append(Row(caveat=results.caveats.get(variant, ""), cells=cells))
    columns = ["Variant", *other, "Test accuracy" if other else "Test", "95 % interval", "n", "Last epoch"]
    columns += ["Validation", "Epochs", "Configuration"]
    return Table(
        name="variants",
        title="Accuracy of the variants" if not other else f"{other[0]} and accuracy of the variants",
        caption=(
            f"Means over the replicates, on {results.data.label}. Test is read at the epoch that validation "
            f"chose, and once more at the last epoch; the 95 % t-interval is about other {UNITS[unit]}. n counts "
            "replicates."
        ),
        columns=columns,
        numeric=columns[1:-2],
        rows=rows,
        file=results.file("tables", "variants.csv"),
    )


def _epochs(chosen: str) -> str:
    """Return the chosen epochs by seed, `4 5 5`, of many seeds from the first to the last, `3 to 5`."""
    ordered = sorted(filter(str.isdecimal, chosen.split()), key=int)
    if len(ordered) <= MOST_EPOCHS:
        return chosen or DASH
    return " to ".join(dict.fromkeys([ordered[0], ordered[-1]]))


def _trained(results: StudyResults, variant: str) -> str:
    different = trained_configurations(results.data, variant)
    return configuration(different[0]) if len(different) == 1 else f"{len(different)}, one of each search"


def pairs_summary(results: StudyResults) -> Table:
    """One row a claim: its numbers."""
    rows = []
    for claim in results.claims:
        evidence, verdict, cells = claim.evidence, claim.result, [DASH] * 5
        if evidence is not None and verdict is not None:
            worth = DASH if evidence.worth is None else amount(evidence.metric, evidence.worth)
            cells = [mean_words(evidence, verdict), interval_words(evidence, verdict) or DASH]
            n = repetitions(evidence) if evidence.unit == "split" else str(verdict.n)
            cells += [n, worth, DASH if claim.fixed is None else f"{claim.fixed:,} / {claim.broken:,}"]
        rows.append(Row(caveat=claim.caveat, cells=[claim.pair, *cells, claim.words]))
    numbers = ["Difference", "95 % interval", "n", "Worth", "Fixed / broken"]
    return Table(
        name="pairs",
        title="Differences between variants",
        caption=(
            f"Differences in {_metric_words(results)}, between replicates of the same seed, with their 95 % interval "
            f"over other {UNITS[results.data.family[0]]} and other test images of the same kind, corrected for the "
            f"study's claims. {_how_decided(results)} A verdict is better or worse if the interval excludes zero, the "
            "same if it is inside the worth to either side of zero, the smallest difference that matters. Fixed and "
            "broken count the test images of the median seed, the one with the median difference."
            f"{chosen_on_these_seeds(results)}"
        ),
        columns=["Pair", *numbers, "Verdict"],
        numeric=numbers,
        rows=rows,
        file=results.file("tables", "pairs.csv"),
    )


def _metric_words(results: StudyResults) -> str:
    """Return the metrics of the claims: that of the objective, or accuracy if an earlier version tested."""
    own = results.data.overview.study.objective
    used = [objective_of(name) for name in dict.fromkeys(one.evidence.metric for one in results.claims if one.evidence)]
    better = {1: "larger", -1: "smaller"}
    words = [
        one.on_test + (f" ({better[sign_of(one.direction)]} is better)" if one.metric != "accuracy" else "")
        for one in used or [objective_of(own)]
    ]
    return listed(words)


def _how_decided(results: StudyResults) -> str:
    rule = rule_of(results.data)
    unit = results.data.family[0]
    units, each = UNITS[unit], _EACH.get(unit, "")
    if rule.fixed is None:
        return f"{each}It holds at any number of {units}, looked at after each of them."
    return f"{each}The number of {units}, {rule.fixed}, was fixed before any was trained."


def pairs_details(results: StudyResults) -> list[Prose]:
    """Under the table of pairs, quietly: what changed on the median seed as a sentence, or why that is not known."""
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
