"""What a page is made of: paragraphs, tables, figures, facts and commands, in sections with one column a study.

Plain text throughout; the templates escape it and set `...` as code. Nothing here knows what a study is, so that
every page (a study's report, a reproduction) is written with the same blocks.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Paragraphs, under a quiet note and a caveat where they have one. `lead` sets them as the headline."""

    kind: ClassVar[str] = "prose"
    name: str
    paragraphs: Sequence[str]
    note: str = ""
    caveat: str = ""
    lead: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. A caveat stands under its first cell; what is faded counts for less."""

    cells: Sequence[str]
    caveat: str = ""
    faded: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, already formatted; `numeric` names the columns that are set flush right."""

    kind: ClassVar[str] = "table"
    name: str
    title: str
    caption: str
    columns: Sequence[str]
    numeric: frozenset[str] = frozenset()
    rows: Sequence[Row]
    file: str = ""  # the same numbers in full, beside the page


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture with its caption. `number` is given by the page."""

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    caption: str
    alt: str
    image: str  # data URI
    width: int  # pixels of the picture
    height: int
    file: str = ""  # the same figure for papers, beside the page
    caveat: str = ""
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A figure or table that could not be made, and why."""

    kind: ClassVar[str] = "absent"
    name: str
    title: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Terms and what they are: an environment, a data set."""

    kind: ClassVar[str] = "facts"
    name: str
    title: str = ""
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Lines for a terminal."""

    kind: ClassVar[str] = "commands"
    name: str
    title: str = ""
    lines: Sequence[str]


Block = Prose | Table | Figure | Absent | Facts | Commands


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one column of blocks a study."""

    anchor: str
    title: str
    columns: Sequence[Sequence[Block]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show; the page leaves such a section out."""
        return not any(self.columns)

    @property
    def rows(self) -> list[tuple[Block | None, ...]]:
        """Blocks of one name side by side, in the order of the first study that has them; None leaves a gap."""
        names = dict.fromkeys(name for column in self.columns for name in _named(column))
        columns = [_named(column) for column in self.columns]
        return [tuple(column.get(name) for column in columns) for name in names]


def _named(column: Sequence[Block]) -> dict[tuple[str, int], Block]:
    """Blocks by their name, and by their place where several have the same."""
    seen: dict[str, count[int]] = {}
    return {(block.name, next(seen.setdefault(block.name, count()))): block for block in column}


def embedded(path: Path) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
