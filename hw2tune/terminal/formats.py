"""Consoles and formats of results: plain tables, and JSON and CSV with raw numbers for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from hw2tune.terminal.streams import results
from hw2tune.text.plain import printable, strict_json


class PlainConsole(Console):
    """Console that shows text as text: no control character of a record reaches the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield printable segments; those that control the terminal are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def plain_table(headings: Iterable[str], rows: Iterable[Sequence[str]] = ()) -> Table:
    """Return a table without lines; cells that are too long are folded."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def print_json(content: Any, indent: int | None = 2) -> None:
    """Print JSON, null for each number that is not finite."""
    print(strict_json(content, indent=indent), file=results())


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print CSV as in RFC 4180 but for the line ends; missing values are empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    table.writerows(rows)
    results().write(printable(text.getvalue()))
