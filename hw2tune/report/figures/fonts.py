"""Fonts for names in any script: matplotlib's own, and an installed one for the characters that it lacks."""

from __future__ import annotations

from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from hw2tune.report.figures.workarounds import FONT


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """FONT, with the installed font that has most of the characters that it lacks; and those that neither has."""
    lacking = {character for character in text if character.isprintable()} - _characters(font_manager.findfont(FONT))
    if not lacking:
        return [FONT], set()
    installed = [
        entry for entry in font_manager.fontManager.ttflist if not entry.name.startswith("Last Resort")
    ]  # boxes
    entries = sorted(installed, key=lambda entry: (entry.name, entry.fname))
    best = max(entries, key=lambda entry: len(lacking & _characters(entry.fname)))
    found = lacking & _characters(best.fname)
    return [FONT, best.name] if found else [FONT], lacking - found


@cache
def _characters(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, FT2Font(file).get_charmap()))
    except (OSError, RuntimeError):  # removed since it was listed, or of bitmaps
        return frozenset()
