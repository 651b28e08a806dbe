"""The search section of a study with arms: one row per search, and where each has a report of its own."""

from __future__ import annotations

import pandas as pd

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
    whole, unit = overview.searches[0].extent
    label = study.objective_spec.label
    text = (
        f"Each arm was searched {counted(study.searches, 'time')} on {whole:,} {unit}, with the sampler "
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
