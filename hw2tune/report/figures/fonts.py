"""Fonts for names in any script, and their tables in PDF files."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """Return FONT with the installed font that has most of the characters that it lacks, and those that neither has."""
    lacking = {character for character in text if character.isprintable()} - _characters(font_manager.findfont(FONT))
    if not lacking:
        return [FONT], set()
    installed = [entry for entry in font_manager.fontManager.ttflist if not entry.name.startswith("Last Resort")]
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


@contextlib.contextmanager
def fonts_of_glyphs_alone() -> Iterator[None]:
    """Embed fonts in PDF files without the tables by which a text's glyphs are chosen and placed.

    A PDF has its glyphs chosen and placed, but fontTools would parse these tables anew for every font of every figure:
    a fifth of a report's time.
    """
    from fontTools import subset

    original = subset.load_font
    subset.load_font = lambda file, options: original(io.BytesIO(_outlines(file, options.font_number)), options)
    try:
        yield
    finally:
        subset.load_font = original


@cache
def _outlines(file: str, number: int) -> bytes:
    """Return font `number` of a file without the characters, names and places of its glyphs."""
    from fontTools.ttLib import TTFont

    buffer = io.BytesIO()
    with TTFont(file, fontNumber=number, recalcTimestamp=False, lazy=True) as font:
        for table in {"GSUB", "GPOS", "GDEF", "MATH", "kern"} & set(font.keys()):
            del font[table]
        for characters in font["cmap"].tables:
            characters.cmap = {}
        font["post"].formatType = 3.0
        font.save(buffer, reorderTables=False)
    return buffer.getvalue()
