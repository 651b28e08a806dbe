"""Figures of the report at the widths of a paper: a column, and both columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import fill

from hw2tune.report.figures.drawing import Drawing
from hw2tune.report.figures.recipes import DrawnFigure, make_figures, recipes
from hw2tune.report.figures.style import column_style
from hw2tune.report.paper.latex import file_stem, tex
from hw2tune.report.study_data import StudyData

WIDTHS = {"column": 3.25, "page": 6.75}  # inches
TALLER = 1.25  # a column's figures, against their shape in the report: text shrinks less than the figure
SHOWN = ("claims", "learning-curves", "accuracy-curves", "search-history", "importances", "tuning-curve")


def draw_figures(data: StudyData, folder: Path) -> list[DrawnFigure]:
    """Draw each shown figure as `<study>-<figure>-column.pdf` and `-page.pdf`; what cannot be drawn is left out."""
    study = file_stem(data.overview.folder.name)
    chosen = [
        replace(recipe, name=f"{study}-{recipe.name}-{name}", draw=partial(_at, recipe.draw, name))
        for recipe in recipes(data)
        if recipe.name in SHOWN
        for name in WIDTHS
    ]
    drawn = [one for one in make_figures(data, folder, chosen) if isinstance(one, DrawnFigure)]
    for one in drawn:
        one.png.unlink()
    return drawn


def _at(draw: Callable[[StudyData], Drawing], name: str, data: StudyData) -> Drawing:
    """Draw a figure at one of the widths, and lay it out: its ticks are made in this style."""
    with column_style() if name == "column" else nullcontext():
        drawing = draw(data)
        figure, (width, height) = drawing.figure, drawing.figure.get_size_inches()
        factor = WIDTHS[name] / width
        figure.set_size_inches(WIDTHS[name], height * factor * (TALLER if name == "column" else 1))
        figure.draw_without_rendering()
        for axes in figure.axes:
            if axes.yaxis.label.get_window_extent().height > axes.bbox.height:
                text = axes.get_ylabel()
                axes.set_ylabel(fill(text, math.ceil(len(text) / 2) + 4))
        figure.draw_without_rendering()
    return drawing


_FITTING = r"\ifdim\linewidth<3.25in\linewidth\else3.25in\fi"  # as drawn, unless the column is narrower


def figures_tex(drawn: list[DrawnFigure]) -> str:
    """Return a float per figure at the width of a column, with the report's caption."""
    floats = [
        f"\\begin{{figure}}\n  \\centering\n  \\includegraphics[width={_FITTING}]{{figures/{one.pdf.name}}}\n"
        f"  \\caption{{{tex(one.caption)}}}\n  \\label{{fig:{one.pdf.stem.removesuffix('-column')}}}\n\\end{{figure}}\n"
        for one in drawn
        if one.pdf.stem.endswith("-column")
    ]
    return "\n".join(floats)


def shown_in(text: str) -> list[str]:
    """Return the files of an earlier `figures.tex`, at each width: those of studies no longer named go with it."""
    stems = re.findall(r"\{figures/([^{}/]+)-column\.pdf\}", text)
    return [f"figures/{stem}-{width}.pdf" for stem in stems for width in WIDTHS]
