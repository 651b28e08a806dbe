"""`summary.md`: the claims and the table of variants, as a pull request shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hw2tune.report.page.blocks import Prose, Table
from hw2tune.report.page.claims import damaged_prose, opening_prose, pairs_details, pairs_summary, variants_summary
from hw2tune.report.results import StudyResults
from hw2tune.text.plain import markdown_table


def summary_markdown(results: Sequence[StudyResults]) -> str:
    """One part a study: its claims, what they rest on, the tables of variants and pairs."""
    parts = []
    for one in results:
        parts.append(f"## {escape(one.data.name)}")
        parts += [text for block in (opening_prose(one), *damaged_prose(one)) for text in paragraphs(block)]
        if one.data.replicates:
            parts += [table(variants_summary(one)), table(pairs_summary(one))]
            parts += [text for block in pairs_details(one) for text in paragraphs(block)]
    return "\n\n".join(parts) + "\n"


def paragraphs(block: Prose) -> list[str]:
    """Paragraphs, under their note and, in bold, their caveat."""
    before = [*([escape(block.note)] if block.note else []), *([f"**{escape(block.caveat)}**"] if block.caveat else [])]
    return [*before, *map(escape, block.paragraphs)]


def table(block: Table) -> str:
    """A table in GitHub's markdown, its caption under it."""
    rows = [
        [f"{escape(row.cells[0])}{f' (**{escape(row.caveat)}**)' if row.caveat else ''}", *map(escape, row.cells[1:])]
        for row in block.rows
    ]
    rule = ["---:" if name in block.numeric else ":---" for name in block.columns]
    return f"{markdown_table([*map(escape, block.columns)], rows, rule)}\n\n{escape(block.caption)}"


def escape(text: str) -> str:
    """Plain text as markdown that shows it: no HTML, no markup, no new cells; `...` stays code."""
    parts = re.sub(r"\s+", " ", text).split("`")
    if len(parts) % 2 == 0:
        return _escape("".join(parts))
    return "".join(f"`{part.replace('|', '/')}`" if place % 2 else _escape(part) for place, part in enumerate(parts))


def _escape(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_\[\]~#@])", r"\\\1", plain)
