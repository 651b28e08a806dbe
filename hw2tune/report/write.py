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

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from hw2tune.errors import StudyFolderError
from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.report.appendix.checklists import checklists
from hw2tune.report.appendix.limits import limits
from hw2tune.report.claims import REPORT_SCHEMA
from hw2tune.report.figures import DrawnFigure, MissingFigure, make_figures
from hw2tune.report.history import earlier_verdicts, history
from hw2tune.report.outputs import PAGE, SUMMARY, default_target, replacing
from hw2tune.report.page.blocks import Prose, Section, Table, render_page
from hw2tune.report.page.claims import pairs_details, pairs_summary, variants_summary
from hw2tune.report.page.opening import answer_prose, basis_facts, claims_prose, damaged_prose, opening_blocks
from hw2tune.report.page.sections import SECTIONS
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.text.numbers import listed
from hw2tune.text.plain import markdown_table, strict_json


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """The files of a report."""

    page: Path
    markdown: Path
    json: Path
    tables: list[Path]
    figures: list[Path]  # PNG and PDF


def write_report(
    folders: Sequence[StudyFolder], target: Path | None = None, known: Sequence[Overview] = ()
) -> ReportFiles:
    """Write the report of one study, or one page on several, and replace the one that is there.

    `known` is what was read of each before.

    Raises StudyFolderError for a study without a finished trial, PathError and NotWritableError; nothing is replaced
    then.
    """
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        raise StudyFolderError(f"one page cannot show two studies of one name, but got {', '.join(names)}")
    read = [read_study_data(*pair) for pair in zip_longest(folders, known)]
    for data in read:
        refuse_nothing_to_report(data)
    target = target or default_target(folders)
    with replacing(target) as scratch:
        places = [f"{data.overview.folder.name}/" if len(read) > 1 else "" for data in read]
        results = [
            compute(data, make_figures(data, scratch / "figures" / place), place, _earlier(data, target))
            for data, place in zip(read, places, strict=True)
        ]
        tables = {one.file("tables", f"{name}.csv"): text for one in results for name, text in one.csv.items()}
        for name, text in tables.items():
            write_atomically(scratch / name, text)
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


def _earlier(data: StudyData, target: Path) -> dict[str, str]:
    """Return the verdicts of an earlier version's report in the same place, or else in the study's folder.

    In a folder that was renamed since, the report has the study's former name.
    """
    own = default_target([data.overview.folder])
    return earlier_verdicts([target, own], data.name) or earlier_verdicts([own], None)


def refuse_nothing_to_report(data: StudyData) -> None:
    """Raise StudyFolderError for a study without a finished trial, and PathError for a link out of its folder."""
    folder = data.overview.folder
    if not data.overview.every_finished:
        raise StudyFolderError(
            f"{folder.root}: no trial of `{folder.name}` has finished, so there is nothing to report; "
            f"`hw2tune study {folder.study_name}` runs it"
        )
    refuse_links_out(folder.root)


def page_html(results: Sequence[StudyResults]) -> str:
    """The page of one study, or of several side by side."""
    names = [one.data.overview.folder.name for one in results]  # one study may lie in two folders
    names = names if len(results) > 1 else [one.data.name for one in results]
    first = [opening_blocks(one) for one in results]
    sections = [
        Section(anchor=anchor, title=title, columns=[blocks(one) for one in results])
        for anchor, title, blocks in SECTIONS
    ]
    opening = Section(anchor="claims", title="Claims", columns=first)
    return render_page(title=listed(names), studies=names, opening=opening, sections=sections)


def summary_json(results: Sequence[StudyResults]) -> str:
    """Accuracies as fractions, losses in nats; null where there is nothing; paths seen from the file's folder."""
    content = {"schema": REPORT_SCHEMA, "studies": [_study(one) for one in results]}
    return strict_json(content, indent=1, ensure_ascii=False) + "\n"


def _study(results: StudyResults) -> dict[str, Any]:
    data, optimism = results.data, results.optimism
    study = data.overview.study
    return {
        "name": data.name,
        "state": data.overview.state,
        "caveat": results.caveat,
        "damaged": data.damaged,
        "dataset": data.dataset and asdict(data.dataset),
        "study": study.model_dump(mode="json"),
        "trials": {
            "planned": data.overview.trials_planned,
            "finished": len(data.overview.every_finished),
            "done": data.overview.done,
            "extent": data.overview.extent[0],
            "unit": data.overview.extent[1],
            "states": dict(Counter(row.state for row in data.overview.every_row)),
        },
        "claims": [claim.numbers for claim in results.claims],
        "history": history(data),
        "earlier_verdicts": results.earlier,
        "race": results.race_sentence,
        "optimism": optimism and asdict(optimism),
        "findings": [asdict(one) for one in results.findings],
        "stopping": [asdict(one) for one in results.rungs],
        **{name: records(results.tables[name]) for name in ("variants", "replicates")},
        "candidates": records(results.tables["race"]),
        "limits": limits(results),
        "checklists": [asdict(item) for item in checklists(results)],
        "tables": {name: results.file("tables", f"{name}.csv") for name in results.csv},
        "figures": [_figure(results, figure) for figure in results.figures],
        "environment": data.environment,
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; null for NaN."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def _figure(results: StudyResults, figure: DrawnFigure | MissingFigure) -> dict[str, Any]:
    shared = {"name": figure.name, "section": figure.section, "title": figure.title}
    if isinstance(figure, MissingFigure):
        return shared | {"missing": figure.reason}
    files = {kind: results.file("figures", getattr(figure, kind).name) for kind in ("png", "pdf")}
    return shared | {"caption": figure.caption, "alt": figure.alt} | files


def summary_markdown(results: Sequence[StudyResults]) -> str:
    """One part a study: its claims, what they rest on, the tables of variants and pairs."""
    parts = []
    for one in results:
        replicates = one.data.replicates
        opening = [answer_prose(one), claims_prose(one), *damaged_prose(one)]
        basis = "; ".join(f"{term}: {text}" for term, text in basis_facts(one).facts)
        parts += [f"## {escape(one.data.name)}", *_paragraphs(*opening), escape(f"{basis}.")]
        parts += [_table(block) for block in (variants_summary(one), pairs_summary(one)) if replicates]
        parts += _paragraphs(*pairs_details(one)) if replicates else []
    return "\n\n".join(parts) + "\n"


def _paragraphs(*blocks: Prose) -> Iterator[str]:
    """Paragraphs, under their note and, in bold, their caveat."""
    for block in blocks:
        if block.note:
            yield escape(block.note)
        if block.caveat:
            yield f"**{escape(block.caveat)}**"
        yield from map(escape, block.paragraphs)


def _table(block: Table) -> str:
    """A table in GitHub's markdown, its caption under it."""
    rows = []
    for row in block.rows:
        first, *others = map(escape, row.cells)
        rows.append([first + (f" (**{escape(row.caveat)}**)" if row.caveat else ""), *others])
    rule = ["---:" if name in block.numeric else ":---" for name in block.columns]
    return f"{markdown_table([*map(escape, block.columns)], rows, rule)}\n\n{escape(block.caption)}"


def escape(text: str) -> str:
    """Plain text as markdown that shows it: no HTML, no markup, no new cells; `...` stays code."""
    parts = re.sub(r"\s+", " ", text).split("`")
    if len(parts) % 2 == 0:
        parts = ["".join(parts)]
    return "".join(f"`{part.replace('|', '/')}`" if place % 2 else _escape(part) for place, part in enumerate(parts))


def _escape(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_\[\]~#@])", r"\\\1", plain)
