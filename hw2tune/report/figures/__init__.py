"""Figures of a report, one file each: a function that computes the table drawn, and one that draws it."""

from hw2tune.report.figures.make import DrawnFigure, MissingFigure, make_figures

__all__ = ["DrawnFigure", "MissingFigure", "make_figures"]
