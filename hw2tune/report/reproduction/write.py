"""The report of a reproduction: published and reproduced numbers and the held-out test, with a verdict for every row.

ray_results/reproduce-<dataset>/report/
    index.html          self-contained: verdicts, curves, every printed number, the machines
    reproduction.csv    every printed number
    totals.csv          their means over the printed epochs, the basis of the verdicts
    reproduction.md     the same for a pull request
    figures/reproduction-loss|accuracy.png|pdf

No file names the day or the place of writing: the same folder gives the same report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.environment import runs as environment_runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from hw2tune.report.figures.curves import HELD_OUT, VALIDATION, Quantity, draw_curves
from hw2tune.report.figures.drawing import CannotDrawError
from hw2tune.report.figures.style import pixels, save, style
from hw2tune.report.outputs import PAGE, default_target, replacing
from hw2tune.report.page.blocks import Absent, Figure, embedded
from hw2tune.report.page.markdown import escape
from hw2tune.report.reproduction.page import (
    COLUMNS,
    PUBLISHED_ON,
    TABLE_FILE,
    TOTAL_COLUMNS,
    cells,
    number_cells,
    other_pixels,
    reproduction_page,
    reproduction_title,
)
from hw2tune.report.reproduction.tables import Reproduction, reproduce
from hw2tune.report.sound import sound_replicate, sound_run
from hw2tune.report.study_data import StudyData
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.published import PROTOCOLS, RUNS, published_epochs
from hw2tune.text.plain import markdown_table

TOTALS_FILE, MARKDOWN_FILE = "totals.csv", "reproduction.md"


@dataclass(frozen=True, kw_only=True)
class ReproductionReport:
    """The files of a report, and the comparisons by run (`baseline`, `l2`)."""

    name: str
    label: str  # of the data of the repetition
    runs: dict[str, Reproduction]
    page: Path
    table: Path
    totals: Path
    markdown: Path
    figures: list[Path]  # PNG and PDF


def write_reproduction(folder: StudyFolder, target: Path | None = None) -> ReproductionReport:
    """Compare the runs in a `reproduce-<dataset>` folder with the published ones; write page, tables and figures.

    Raises PathError or NotWritableError; an earlier report is then unchanged.
    """
    refuse_links_out(folder.root)
    data = _read(folder)
    name, label = data.overview.study.dataset, data.images["label"]
    evaluated = [replicate.last for replicate in data.replicates if replicate.last]
    overlaps = any(last.overlaps_training for last in evaluated) if evaluated else None
    runs = {
        run: reproduce(published_epochs(name, run), [one.epochs for one in data.of(run)], overlaps_training=overlaps)
        for run in RUNS
    }
    target = target or default_target([folder])
    with replacing(target) as scratch:
        with style():
            drawn = [_figure(scratch, data, quantity, runs[RUNS[0]].caveat) for quantity in get_args(Quantity)]
        page = reproduction_page(name, label, runs, drawn, data.replicates, data.environment)
        write_atomically(scratch / TABLE_FILE, _csv({run: one.rows for run, one in runs.items()}))
        write_atomically(scratch / TOTALS_FILE, _csv({run: one.totals for run, one in runs.items()}))
        write_atomically(scratch / MARKDOWN_FILE, _markdown(name, label, runs))
        write_atomically(scratch / PAGE, page)
    names = [figure.name for figure in drawn if isinstance(figure, Figure)]
    return ReproductionReport(
        name=name,
        label=label,
        runs=runs,
        page=target / PAGE,
        table=target / TABLE_FILE,
        totals=target / TOTALS_FILE,
        markdown=target / MARKDOWN_FILE,
        figures=[target / "figures" / f"{name}.{form}" for name in names for form in ("png", "pdf")],
    )


def _read(folder: StudyFolder) -> StudyData:
    """Return the repetitions as data of the shipped study with the published configurations."""
    dataset = folder.name.removeprefix("reproduce-").split(".")[0]
    study = parse_study(*find_study(PROTOCOLS[dataset].study))
    environment = [entry for run in environment_runs(folder) if (entry := sound_run(run))]
    noted = environment[-1].get("data", {}) if environment else {}
    record = DatasetRecord(
        name=dataset, label=str(noted.get("name", PUBLISHED_ON[dataset])), classes=[], image_shape=[], mean=[], std=[],
        checksum=noted.get("checksum", ""), split_checksum=noted.get("split_checksum", ""), sizes={}, source="",
    )  # fmt: skip
    return StudyData(
        overview=Overview(folder=folder, study=study, rows=[], running=None),
        replicates=[one for read in read_replicates(ReplicatesFolder.of(folder)) if (one := sound_replicate(read))],
        dataset=record,
        gallery=None,
        pixel_counts=None,
        race=None,
        environment=environment,
    )


def _csv(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the tables of the runs as one, with the run in the first column."""
    rows = pd.concat([table.assign(run=run) for run, table in tables.items()])
    columns = ["run", *(column for column in rows.columns if column != "run")]
    return rows[columns].to_csv(index=False, lineterminator="\n")


def _figure(target: Path, data: StudyData, quantity: Quantity, caveat: str) -> Figure | Absent:
    name, title = f"reproduction-{quantity}", f"{quantity.capitalize()}, reproduced and published"
    try:
        drawing = draw_curves(data, quantity, HELD_OUT if caveat else VALIDATION)
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


def _markdown(name: str, label: str, runs: Mapping[str, Reproduction]) -> str:
    totals = [[run, *number_cells(row)] for run, one in runs.items() for _, row in one.totals.iterrows()]
    parts = [
        f"# {escape(reproduction_title(name, label))}",
        *map(escape, other_pixels(name, label)),
        "## Means over the printed epochs",
        *dict.fromkeys(f"**“test”: {one.caveat}**" for one in runs.values() if one.caveat),
        markdown_table(TOTAL_COLUMNS, totals),
    ]
    for run, one in runs.items():
        parts += [f"## {run}", one.sentence, one.tolerance_note, *([f"**{one.caveat}**"] if one.caveat else [])]
        parts.append(markdown_table(COLUMNS, [cells(row) for _, row in one.rows.iterrows()]))
    return "\n\n".join(parts) + "\n"
