"""`summary.json`, the report for programs, and `summary.md`, its claims and variants as a pull request shows them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.page.blocks import Prose, Table
from hw2tune.report.page.claims import damaged_prose, opening_prose, pairs_details, pairs_summary, variants_summary
from hw2tune.report.results import StudyResults
from hw2tune.text.plain import SCHEMA, markdown_table, strict_json


def summary_json(results: Sequence[StudyResults]) -> str:
    """Accuracies as fractions, losses in nats; null where there is nothing; paths seen from the file's folder."""
    content = {"schema": SCHEMA, "studies": [_study(one) for one in results]}
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
            "planned": study.trials,
            "finished": len(data.overview.finished),
            "states": dict(Counter(row.state for row in data.overview.rows)),
        },
        "claims": [asdict(claim) for claim in results.claims],
        "race": results.race_sentence,
        "optimism": optimism and asdict(optimism),
        **{name: records(results.tables[name]) for name in ("variants", "replicates")},
        "candidates": records(results.tables["race"]),
        "tables": {name: results.file("tables", f"{name}.csv") for name in results.tables},
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
        parts += [f"## {escape(one.data.name)}", *_paragraphs(opening_prose(one), *damaged_prose(one))]
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
