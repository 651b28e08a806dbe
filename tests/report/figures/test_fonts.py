"""The fonts inside the PDF files."""

import io
import re
import zlib

from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from hw2tune.report.figures.recipes import save
from hw2tune.report.figures.style import style

LAYOUT = {"GSUB", "GPOS", "GDEF", "MATH", "kern"}


def fonts(pdf: bytes) -> list[TTFont]:
    streams = [
        zlib.decompress(stream)
        for stream in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    ]
    return [TTFont(io.BytesIO(stream)) for stream in streams if stream.startswith(b"\x00\x01\x00\x00")]


def test_they_hold_the_glyphs_and_nothing_that_chooses_them(tmp_path):
    with style():
        figure = Figure()
        figure.text(0.1, 0.5, "office AV 10⁻³")
        _, pdf = save(figure, tmp_path, "text")
        alone = io.BytesIO()
        figure.savefig(alone, format="pdf")  # matplotlib by itself: else the workaround can go
    ours, its = fonts(pdf.read_bytes()), fonts(alone.getvalue())
    assert len(ours) == len(its) > 0
    assert all(LAYOUT.isdisjoint(font.keys()) for font in ours)
    assert any(LAYOUT & set(font.keys()) for font in its)
    assert sum(len(font.getGlyphOrder()) for font in ours) >= len(set("office AV 10⁻³"))
