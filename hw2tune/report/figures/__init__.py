"""Figures of a report, one file each: a function that computes the table drawn, and one that draws it."""

from hw2tune.report.figures.workarounds import import_matplotlib

import_matplotlib()  # before the files of figures import it, each by itself

from hw2tune.report.figures.recipes import DrawnFigure, MissingFigure, make_figures  # noqa: E402

__all__ = ["DrawnFigure", "MissingFigure", "make_figures"]
