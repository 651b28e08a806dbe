"""The report of a reproduction: published beside reproduced beside held-out test, with a verdict for every row.

ray_results/reproduce-<dataset>/report/
    index.html          self-contained: verdicts, curves, every printed number, what it ran on
    reproduction.csv    every printed number
    totals.csv          their means over the printed epochs, which the verdicts rest on
    reproduction.md     the same for a pull request
    figures/reproduction-loss|accuracy.png|pdf

Nothing of the day or the place of writing goes into a file: the same folder gives the same report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pandas as pd

from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.environment import runs as environment_runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates.files import read_replicates
from hw2tune.records.replicates.records import Replicate, ReplicatesFolder
from hw2tune.report.figures.curves import Quantity
from hw2tune.report.figures.drawing import CannotDrawError
from hw2tune.report.figures.style import pixels, save, style
from hw2tune.report.outputs import PAGE, default_target, replacing
from hw2tune.report.page.blocks import Absent, Figure, embedded
from hw2tune.report.page.markdown import escape
from hw2tune.report.reproduction.figures import draw_reproduction
from hw2tune.report.reproduction.page import (
    COLUMNS,
    PUBLISHED_ON,
    TABLE_FILE,
    TOTAL_COLUMNS,
    TOTALS_FILE,
    cells,
    other_pixels,
    reproduction_page,
    reproduction_title,
    total_cells,
)
from hw2tune.report.reproduction.tables import Reproduction, reproduce
from hw2tune.report.sound import sound_replicate, sound_run
from hw2tune.study.published import RUNS, published_epochs
from hw2tune.text.plain import markdown_table

__all__ = ["COLUMNS", "ReproductionReport", "cells", "write_reproduction"]

TITLES: dict[Quantity, str] = {
    "loss": "Loss, reproduced and published",
    "accuracy": "Accuracy, reproduced and published",
}


@dataclass(frozen=True, kw_only=True)
class ReproductionReport:
    """What was written, and what it says by run (`baseline`, `l2`)."""

    name: str
    label: str  # how the data of the repetition are called
    runs: dict[str, Reproduction]
    page: Path
    table: Path
    totals: Path
    markdown: Path
    figures: list[Path]  # PNG and PDF


def write_reproduction(folder: StudyFolder, target: Path | None = None) -> ReproductionReport:
    """Compares the runs in a `reproduce-<dataset>` folder with the published ones; writes page, tables and figures.

    Raises PathError or NotWritableError; an earlier report is then as it was.
    """
    refuse_links_out(folder.root)
    dataset = folder.name.removeprefix("reproduce-").split(".")[0]
    replicates = [one for read in read_replicates(ReplicatesFolder.of(folder)) if (one := sound_replicate(read))]
    overlaps = _overlaps_training(replicates)
    runs = {
        label: reproduce(published_epochs(dataset, label), _epochs_of(replicates, label), overlaps_training=overlaps)
        for label in RUNS
    }
    environment = [entry for run in environment_runs(folder) if (entry := sound_run(run))]
    plain = PUBLISHED_ON.get(dataset, dataset)
    label = str(environment[-1].get("data", {}).get("name", plain)) if environment else plain
    target = target or default_target([folder])
    report = ReproductionReport(
        name=dataset,
        label=label,
        runs=runs,
        page=target / PAGE,
        table=target / TABLE_FILE,
        totals=target / TOTALS_FILE,
        markdown=target / "reproduction.md",
        figures=[],
    )
    with replacing(target) as scratch:
        with style():
            caveat = runs[RUNS[0]].caveat
            figures = [
                _figure(scratch, dataset, label, replicates, quantity, caveat) for quantity in get_args(Quantity)
            ]
        write_atomically(scratch / TABLE_FILE, _csv({name: run.rows for name, run in runs.items()}))
        write_atomically(scratch / TOTALS_FILE, _csv({name: run.totals for name, run in runs.items()}))
        write_atomically(scratch / report.markdown.name, _markdown(report))
        page = reproduction_page(dataset, label, runs, figures, replicates, environment)
        write_atomically(scratch / PAGE, page)
    return replace(report, figures=[path for name in _names(figures) for path in _paths(target, name)])


def _csv(tables: Mapping[str, pd.DataFrame]) -> str:
    """The tables of the runs under each other, the run in the first column."""
    rows = pd.concat([table.assign(run=run) for run, table in tables.items()])
    return rows[["run", *(column for column in rows.columns if column != "run")]].to_csv(
        index=False, lineterminator="\n"
    )


def _epochs_of(replicates: Sequence[Replicate], label: str) -> list[list[dict[str, object]]]:
    return [replicate.epochs for replicate in replicates if replicate.variant == label]


def _overlaps_training(replicates: Sequence[Replicate]) -> bool | None:
    """Whether what the repetitions call the published test holds training images; None where none was evaluated."""
    evaluated = [replicate.last for replicate in replicates if replicate.last]
    return any(last.overlaps_training for last in evaluated) if evaluated else None


def _figure(
    target: Path, dataset: str, label: str, replicates: Sequence[Replicate], quantity: Quantity, caveat: str
) -> Figure | Absent:
    name, title = f"reproduction-{quantity}", TITLES[quantity]
    try:
        drawing = draw_reproduction(dataset, label, replicates, quantity, caveat)
    except CannotDrawError as error:
        return Absent(name=name, title=title, reason=str(error))
    png, pdf = save(drawing.figure, target / "figures", name)
    width, height = pixels(png)
    return Figure(
        name=name,
        title=title,
        caption=drawing.caption,
        alt=drawing.alt,
        image=embedded(png),
        width=width,
        height=height,
        file=f"figures/{pdf.name}",
        caveat=f"“test”: {caveat}" if caveat else "",
    )


def _names(figures: Sequence[Figure | Absent]) -> list[str]:
    return [figure.name for figure in figures if isinstance(figure, Figure)]


def _paths(target: Path, name: str) -> tuple[Path, Path]:
    return target / "figures" / f"{name}.png", target / "figures" / f"{name}.pdf"


def _markdown(report: ReproductionReport) -> str:
    totals = [total_cells(label, row) for label, run in report.runs.items() for _, row in run.totals.iterrows()]
    caveats = list(dict.fromkeys(f"**“test”: {run.caveat}**" for run in report.runs.values() if run.caveat))
    parts = [
        f"# {escape(reproduction_title(report.name, report.label))}",
        *map(escape, other_pixels(report.name, report.label)),
        "## Means over the printed epochs",
        *caveats,
        markdown_table(TOTAL_COLUMNS, totals),
    ]
    for label, run in report.runs.items():
        parts += [f"## {label}", run.sentence, run.tolerance_note, *([f"**{run.caveat}**"] if run.caveat else [])]
        parts.append(markdown_table(COLUMNS, [cells(row) for _, row in run.rows.iterrows()]))
    return "\n\n".join(parts) + "\n"
