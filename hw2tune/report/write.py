"""The report on disk: one page, two summaries, every table and every figure.

    ray_results/<name>/report/
        index.html       self-contained: figures inside
        summary.md       claims and variants for a pull request
        summary.json     the same for programs
        tables/*.csv
        figures/*.png|pdf

Several studies get one page in `ray_results/report-<name>-<name>/`, their tables and figures in folders of their own;
`--output DIR` puts either elsewhere (`outputs.py`).
Nothing of the day or the place of writing goes into a file: the same study gives the same report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from hw2tune.errors import StudyFolderError
from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.report.figures import DrawnFigure, make_figures
from hw2tune.report.outputs import PAGE, SUMMARY, default_target, replacing
from hw2tune.report.page.blocks import render_page
from hw2tune.report.page.sections import opening, sections
from hw2tune.report.results import StudyResults, compute, read_finished
from hw2tune.report.summary import summary_json, summary_markdown
from hw2tune.text.numbers import listed


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """What was written."""

    page: Path
    markdown: Path
    json: Path
    tables: list[Path]
    figures: list[Path]  # PNG and PDF


def write_report(
    folders: Sequence[StudyFolder], target: Path | None = None, known: Sequence[Overview] = ()
) -> ReportFiles:
    """Writes the report of one study, or one page on several, and replaces the one that is there.

    `known` is what was read of each before.

    Raises StudyFolderError for a study without a finished trial, PathError and NotWritableError; nothing is replaced
    then.
    """
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        raise StudyFolderError(f"one page cannot show two studies of one name, but got {', '.join(names)}")
    read = [read_finished(*pair) for pair in zip_longest(folders, known)]
    for folder in folders:
        refuse_links_out(folder.root)
    target = target or default_target(folders)
    with replacing(target) as scratch:
        places = [f"{data.overview.folder.name}/" if len(read) > 1 else "" for data in read]
        results = [
            compute(data, make_figures(data, scratch / "figures" / place), place)
            for data, place in zip(read, places, strict=True)
        ]
        tables = {one.file("tables", f"{name}.csv"): one.tables[name] for one in results for name in one.tables}
        for name, table in tables.items():
            write_atomically(scratch / name, table.to_csv(index=False, lineterminator="\n"))
        write_atomically(scratch / "summary.md", summary_markdown(results))
        write_atomically(scratch / SUMMARY, summary_json(results))
        write_atomically(scratch / PAGE, page_html(results))
    drawn = [figure for one in results for figure in one.figures if isinstance(figure, DrawnFigure)]
    return ReportFiles(
        page=target / PAGE,
        markdown=target / "summary.md",
        json=target / SUMMARY,
        tables=[target / name for name in tables],
        figures=[target / path.relative_to(scratch) for figure in drawn for path in (figure.png, figure.pdf)],
    )


def page_html(results: Sequence[StudyResults]) -> str:
    """The page of one study, or of several side by side."""
    names = [one.data.overview.folder.name for one in results]  # one study may lie in two folders
    names = names if len(results) > 1 else [one.data.name for one in results]
    return render_page(title=listed(names), studies=names, opening=opening(results), sections=sections(results))
