"""The parts of a page: paragraphs, tables, figures, facts and commands, in sections with one column a study.

Plain text throughout; the templates escape it and set `...` as code. Nothing here knows what a study is, so that
every page (a study's report, a reproduction) is written with the same blocks, and rendered into one HTML file that
needs no network. Its script sorts and switches what is there already; the page is complete without it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a section. Blocks of one name stand side by side."""

    name: str
    title: str = ""
    caption: str = ""
    caveat: str = ""
    file: str = ""  # the same in full or for papers, beside the page
    choice: str = ""  # which of the section's alternatives it is, such as a variant

    @property
    def kind(self) -> str:
        """The macro that shows it."""
        return type(self).__name__.lower()


@dataclass(frozen=True, kw_only=True)
class Prose(Block):
    """Paragraphs, under a quiet note and a caveat where they have one. `lead` sets them as the headline."""

    paragraphs: Sequence[str]
    note: str = ""
    lead: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. A caveat stands under its first cell; what is faded counts for less."""

    cells: Sequence[str]
    caveat: str = ""
    faded: bool = False


@dataclass(frozen=True, kw_only=True)
class Table(Block):
    """A table of text, already formatted; `numeric` names the columns that are set flush right."""

    columns: Sequence[str]
    numeric: Collection[str] = ()
    rows: Sequence[Row]


@dataclass(frozen=True)
class Spot:
    """A point of a picture with a name: fractions of its width and height from the upper left corner."""

    left: float
    top: float
    key: str  # equal for points that belong together
    text: str


@dataclass(frozen=True, kw_only=True)
class Figure(Block):
    """A picture with its caption, numbered by the page; width and height in pixels."""

    alt: str
    image: str  # data URI
    width: int
    height: int
    spots: Sequence[Spot] = ()


@dataclass(frozen=True, kw_only=True)
class Absent(Block):
    """A figure or table that could not be made, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Facts(Block):
    """Terms and what they are: an environment, a data set."""

    facts: Sequence[tuple[str, str]]
    level: int = 3  # of the title among the page's headings


@dataclass(frozen=True, kw_only=True)
class Commands(Block):
    """Lines for a terminal."""

    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one column of blocks a study."""

    anchor: str
    title: str
    columns: Sequence[Sequence[Block]]

    @property
    def rows(self) -> list[tuple[Block | None, ...]]:
        """Blocks of one name side by side, in the order of the first study that has them; None leaves a gap."""
        columns = [_named(column) for column in self.columns]
        names = dict.fromkeys(name for column in columns for name in column)
        return [tuple(column.get(name) for column in columns) for name in names]


def _named(column: Sequence[Block]) -> dict[tuple[str, int], Block]:
    """Blocks by their name, and by their place where several have the same."""
    seen: Counter[str] = Counter()
    named = {}
    for block in column:
        named[block.name, seen[block.name]] = block
        seen[block.name] += 1
    return named


def embedded(path: Path) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def render_page(*, title: str, studies: Sequence[str], opening: Section, sections: Sequence[Section]) -> str:
    """The page as HTML. `studies` name the columns; sections with nothing to show are omitted.

    Every text is escaped; figures are numbered in reading order, side by side.
    """
    whitespace: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    loader = PackageLoader("hw2tune.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, **whitespace)
    environment.filters["prose"] = prose
    environment.globals["next_number"] = count(1).__next__
    shown = [section for section in sections if any(section.columns)]
    script = environment.get_template("page.js").render()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = environment.get_template("page.html.j2")
    page = {"title": title, "studies": studies, "opening": opening, "sections": shown}
    return template.render(**page, script=Markup(script), allowed=allowed)


def prose(text: str) -> Markup:
    """Plain text as HTML: escaped, with `...` set as code.

    No line ends within `95 %`, `n = 5`, `4.8e-5`, a date or an option.
    """
    text = re.sub(r"(?<=\d) (?=%)|(?<=\bn) (?== )|(?<=\bn =) (?=\d)", "\N{NO-BREAK SPACE}", text)
    text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", "\\1\N{NON-BREAKING HYPHEN}\\2\N{NON-BREAKING HYPHEN}\\3", text)
    parts = text.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a backtick
        return _kept(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(_kept(part)) if place % 2 else _kept(part) for place, part in enumerate(parts)
    )


def _kept(text: str) -> Markup:
    """Escaped text whose numbers and options stay in one line."""
    return Markup(
        re.sub(r"\d[\d.]*e-\d+|(?<![\w-])--[a-z][a-z-]*", r'<span class="keep">\g<0></span>', str(escape(text)))
    )
