"""A page: sections of blocks rendered into one HTML file that needs no network and no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hw2tune.report.page.blocks import Block, Figure, Section


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
