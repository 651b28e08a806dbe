"""Figures of a report, one file each: a function that computes the table drawn, and one that draws it."""

import contextlib
import os
import sys

if "matplotlib" not in sys.modules:
    # A notebook's MPLBACKEND names a backend that may not be installed here: the import would fail (colabtools#5148).
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib as mpl

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = backend

from hw2tune.report.figures.recipes import DrawnFigure, MissingFigure, make_figures

__all__ = ["DrawnFigure", "MissingFigure", "make_figures"]
