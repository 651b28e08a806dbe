"""What the search learned: each search of the arms, the study doctor's findings, and the audit of early stopping."""

from __future__ import annotations

import pandas as pd

from hw2tune.report.doctor.stopping import Rung, behind_the_best
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import DASH, configuration, counted, objective_value


def searches_blocks(results: StudyResults) -> list[Block]:
    """Return the table of searches, and where each has a report of its own."""
    overview, table = results.data.overview, results.tables["searches"]
    study = overview.study
    rows = []
    for row, search in zip(table.to_dict("records"), overview.searches, strict=True):
        values = [objective_value(row[name], study.objective) for name in ("best_value", "expected")]
        won = configuration({name: row[name] for name in study.space if name in row and not pd.isna(row[name])})
        counts = [f"{search.done} of {search.extent[0]}", *values]
        rows.append(Row(cells=[search.folder.root.name, *counts, won if not pd.isna(row["winner"]) else DASH]))
    sizes = sorted({search.extent[0] for search in overview.searches})  # an arm may leave few configurations
    whole, unit = " to ".join(f"{size:,}" for size in dict.fromkeys([sizes[0], sizes[-1]])), overview.extent[1]
    label = study.objective_spec.label
    text = (
        f"Each arm was searched {counted(study.searches, 'time')} on {whole} {unit}, with the sampler "
        f"{study.sampler.name}, the pruner {study.pruner.name} and the same seeds; it {study.direction}d {label}. "
        f"The report of a search is drawn by `hw2tune summarize --from-files {overview.searches[0].folder.root}`."
    )
    numbers = [unit.capitalize(), f"Best {label}", "Winner's expected"]
    return [
        Prose(name="search-text", paragraphs=[text]),
        Table(
            name="searches",
            title="Searches of the arms",
            caption=(
                "One row per search, on validation images. The winner is chosen by a race of the best trials on fresh "
                "seeds; its expected value is the mean that search and race together leave."
            ),
            columns=["Arm", *numbers, "Winner"],
            numeric=numbers,
            rows=rows,
            file=results.file("tables", "searches.csv"),
        ),
    ]


def doctor_blocks(results: StudyResults) -> list[Block]:
    """Return the findings as a table; nothing for a study without any."""
    rows = [Row(cells=[one.check, one.finding, one.evidence, one.remedy]) for one in results.findings]
    table = Table(
        name="findings",
        title="Findings",
        caption=f"The terminal has the same, and counts test reads: `hw2tune doctor {results.data.called}`.",
        columns=["Check", "Finding", "Evidence", "What to do"],
        rows=rows,
    )
    return [table] if rows else []


def stopping_blocks(results: StudyResults) -> list[Block]:
    """Return the audit of early stopping; nothing if the pruner does not compare trials or none came so far."""
    audit = [rung for rung in results.rungs if rung.arrived]
    wasted = behind_the_best(results.data.overview.rows)
    if not audit:
        return []
    by_schedule = any(len(rung.schedules) > 1 for rung in audit)
    columns = ["Epoch", "Arrived", "Passed", "Rank correlation", *(["Passed by schedule"] if by_schedule else [])]
    risen = results.data.overview.study.pruner.name == "halving" and by_schedule
    apart = " Trials whose learning rate still rises at a rung are compared with each other only." if risen else ""
    share = "" if wasted is None else f" Epochs trained after their trial's best one: {100 * wasted:.0f} %."
    return [
        Table(
            name="stopping",
            title="Early stopping",
            caption=(
                "Trials that the sampler drew, at epochs where the pruner may stop them. The rank correlation "
                "(Spearman) is between the best values up to there and those at the end, over the trials that were "
                "trained to the end, which the pruner chose: over all trials it would be larger." + apart + share
            ),
            columns=columns,
            numeric=columns[:4],
            rows=[_row(rung, by_schedule) for rung in audit],
        )
    ]


def _row(rung: Rung, by_schedule: bool) -> Row:
    correlation = DASH if rung.correlation is None else f"{rung.correlation:z.2f} (n = {rung.complete})"
    passed = f"{rung.passed} ({100 * rung.passed / rung.arrived:.0f} %)"
    names = ", ".join(f"{name} {count} of {arrived}" for name, (count, arrived) in rung.schedules.items())
    return Row(cells=[str(rung.epoch), str(rung.arrived), passed, correlation, *([names] if by_schedule else [])])
