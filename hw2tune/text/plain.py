"""Text without any knowledge of studies: what may be shown to anybody, errors in one line, durations, JSON."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# Options of pyarrow's addresses that say where a store is. Of all others (`client_secret`, `sig`) none is shown.
PUBLIC = re.compile(
    r"(region|scheme|endpoint_override|allow_bucket_creation|allow_bucket_deletion|enable_tls)=[\w.:/-]*"
)
# A user, or user and password, in front of a host. A password may hold any character: it ends at the last `@`.
USER = re.compile(r"(?<=://)(?:[^\s/?#]*:\S*|[^\s/?#]*)@|(?<!\S)[^\s:/@]+:(?!//)\S*@")
OPTIONS = re.compile(r"(://[^\s?#]*)[?#](\S*)")
# ESC begins what moves the cursor, sets the title or the clipboard; then come those that turn text around, and bytes of
# file names that are not UTF-8, which no terminal can be sent.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SCHEMA = 1  # of the JSON and the records that programs read: raised where a reader must change
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def printable(text: str) -> str:
    """Return the text for a terminal, with a mark in place of each control character of a stranger's record."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def without_secrets(text: str) -> str:
    """Return the text with each address in it without user, password and the options that are not known as harmless."""
    return OPTIONS.sub(_with_public_options, USER.sub("", text))


def _with_public_options(address: re.Match[str]) -> str:
    options = "&".join(option for option in re.split("[?#&;]", address[2]) if PUBLIC.fullmatch(option))
    return address[1] + (f"?{options}" if options else "")


def first_line(said: object, otherwise: str = "no message") -> str:
    """Return the first line of an error or a text, or `otherwise` if it has none."""
    return next(iter(str(said).strip().splitlines()), otherwise).strip()


def last_line(said: object, otherwise: str = "no message") -> str:
    """Return the last line, in which Ray and Python name the error below a traceback, or `otherwise`."""
    return (str(said).strip().splitlines() or [otherwise])[-1].strip()


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def value_text(value: object, number: Callable[[float], str] = str) -> str:
    """Return a hyperparameter's value as text: `true` as in TOML, a float as `number` writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], rule: Sequence[str] = ()) -> str:
    """Return a table in GitHub's Markdown; `rule` aligns the columns. Cells are Markdown already."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule or ["---"] * len(columns), *rows))


def seconds(text: str) -> float:
    """Return `90s`, `30m`, `1h30m`, `2d` in seconds. Raises ValueError with the valid forms."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not _FORM.fullmatch(text) or total <= 0:
        raise ValueError(f"{text!r} is no duration; 90s, 30m, 2h and 1h30m are")
    return total


def strict_json(content: Any, **how: Any) -> str:
    """Return `content` as JSON, null for each number that is not finite; `how` is that of `json.dumps`."""
    text = json.dumps(content, **how)
    finite = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(finite, **how | {"allow_nan": False, "default": None})
