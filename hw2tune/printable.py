"""Text that may be shown to anybody: addresses without credentials, and nothing that controls a terminal."""

from __future__ import annotations

import re

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


def printable(text: str) -> str:
    """Return the text for a terminal, with a mark in place of each control character of a stranger's record."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def without_secrets(text: str) -> str:
    """Return the text with each address in it without user, password and the options that are not known as harmless."""
    return OPTIONS.sub(_with_public_options, USER.sub("", text))


def _with_public_options(address: re.Match[str]) -> str:
    options = "&".join(option for option in re.split("[?#&;]", address[2]) if PUBLIC.fullmatch(option))
    return address[1] + (f"?{options}" if options else "")
