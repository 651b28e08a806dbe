"""Figures of a report, one file each: a function that computes the table drawn, and one that draws it."""

import contextlib
import logging
import os
import sys

if "matplotlib" not in sys.modules:
    # A notebook's MPLBACKEND names a backend that may not be installed here: the import would fail (colabtools#5148).
    backend = os.environ.pop("MPLBACKEND", None)
    # It warns of a cache that cannot be written and of settings that it does not know; the figures are the same.
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    import matplotlib as mpl
    import matplotlib.font_manager  # reads the cache

    log.setLevel(level)

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = backend

from hw2tune.report.figures.recipes import DrawnFigure, MissingFigure, make_figures

__all__ = ["DrawnFigure", "MissingFigure", "make_figures"]
