"""What a page is made of: paragraphs, tables, figures, facts and commands, in sections with one column a study.

Plain text throughout; the templates escape it and set `...` as code. Nothing here knows what a study is, so that
every page (a study's report, a reproduction) is written with the same blocks, and rendered into one HTML file that
needs no network and no script.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


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


def render_page(*, title: str, studies: Sequence[str], opening: Section, sections: Sequence[Section]) -> str:
    """The page as HTML. `studies` name the columns; sections with nothing to show are omitted.

    Every text is escaped; figures are numbered in reading order.
    """
    environment = _environment()
    style, _, _ = environment.loader.get_source(environment, "style.css")  # type: ignore[union-attr]
    return environment.get_template("page.html.j2").render(
        css=Markup(style.strip()),  # our own file
        title=title,
        studies=studies,
        opening=opening,
        sections=_numbered([section for section in sections if not section.empty]),
    )


def prose(text: str) -> Markup:
    """Plain text as HTML: escaped, with `...` set as code, and no line that ends within `95 %`, `n = 5` or a date."""
    text = re.sub(r"(?<=\d) (?=%)|(?<=\bn) (?== )|(?<=\bn =) (?=\d)", "\N{NO-BREAK SPACE}", text)
    text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", "\\1\N{NON-BREAKING HYPHEN}\\2\N{NON-BREAKING HYPHEN}\\3", text)
    parts = text.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a backtick
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hw2tune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = prose
    return environment


def _numbered(sections: Sequence[Section]) -> list[Section]:
    """Figures numbered from 1, row by row: side by side they follow each other."""
    numbers = count(1)
    numbered: dict[int, Block] = {}
    for section in sections:
        for block in (block for row in section.rows for block in row):
            if isinstance(block, Figure):
                numbered[id(block)] = replace(block, number=next(numbers))
    return [
        replace(section, columns=[[numbered.get(id(block), block) for block in column] for column in section.columns])
        for section in sections
    ]
