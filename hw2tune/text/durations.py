"""Durations as people type them."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def seconds(text: str) -> float:
    """`90s`, `30m`, `1h30m`, `2d` in seconds. Raises ValueError, saying what would do."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not _FORM.fullmatch(text) or total <= 0:
        raise ValueError(f"{text!r} is no duration; 90s, 30m, 2h and 1h30m are")
    return total
