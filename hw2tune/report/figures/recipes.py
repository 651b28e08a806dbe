"""All figures of a study, drawn into a folder."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.text import Text

from hw2tune.report.figures import (
    classes,
    coordinates,
    curves,
    examples,
    features,
    history,
    importances,
    pareto,
    preprocessing,
    timeline,
    weight_decay,
    weights,
)
from hw2tune.report.figures.drawing import CannotDrawError, Recipe, Section
from hw2tune.report.figures.fonts import fonts_for
from hw2tune.report.figures.labels import class_names
from hw2tune.report.figures.style import pixels, save, style
from hw2tune.report.study_data import StudyData


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure on disk. All text is plain: escape it where it is printed."""

    name: str
    section: Section
    title: str
    caption: str  # what it shows and how it was made, with n and what a band means
    alt: str
    png: Path
    pdf: Path
    width: int  # pixels of the PNG
    height: int


@dataclass(frozen=True, kw_only=True)
class MissingFigure:
    """A figure that the study has no data for; `reason` is one sentence or two for the page."""

    name: str
    section: Section
    title: str
    reason: str


def make_figures(data: StudyData, folder: Path, chosen: Sequence[Recipe] = ()) -> list[DrawnFigure | MissingFigure]:
    """Draws the chosen or every figure as `<folder>/<name>.png` and `.pdf`, in the order of the page.

    The same data give the same bytes. What cannot be drawn comes back with its reason.
    """
    fonts, boxes = fonts_for("".join([*class_names(data), *data.variants, data.name, data.label]))
    with style(), mpl.rc_context({"font.family": fonts}), _no_collection():
        return [_make(recipe, data, folder, boxes) for recipe in chosen or recipes(data)]


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Leave garbage to `_make`: a sixth of a report's time went into passes over all objects of the libraries."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def recipes(data: StudyData) -> list[Recipe]:
    """Every figure of a study's report. Figures of claims with a common side are numbered."""
    every = [
        *curves.RECIPES,
        *weights.recipes(data),
        *examples.recipes(data),
        *features.recipes(data),
        *classes.recipes(data),
        *preprocessing.RECIPES,
        *history.RECIPES,
        *pareto.recipes(data),
        *coordinates.RECIPES,
        *importances.RECIPES,
        *weight_decay.RECIPES,
        *timeline.RECIPES,
    ]
    names = [recipe.name for recipe in every]
    earlier = [names[:place].count(name) for place, name in enumerate(names)]
    return [replace(one, name=f"{one.name}.{n + 1}") if n else one for one, n in zip(every, earlier, strict=True)]


def _make(recipe: Recipe, data: StudyData, folder: Path, boxes: set[str]) -> DrawnFigure | MissingFigure:
    gc.collect(0)  # the last figure
    try:
        drawing = recipe.draw(data)
    except CannotDrawError as error:
        return MissingFigure(name=recipe.name, section=recipe.section, title=recipe.title, reason=str(error))
    caveat = data.dataset.caveat if data.dataset and recipe.section != "search" else ""
    png, pdf = save(drawing.figure, folder, recipe.name)
    width, height = pixels(png)
    lacking = boxes and boxes & set("".join(text.get_text() for text in drawing.figure.findobj(Text)))
    lost = f" Boxes stand for {' '.join(sorted(lacking))}: no installed font has them." if lacking else ""
    caption = f"{drawing.caption} Caveat: {caveat}." if caveat else drawing.caption
    return DrawnFigure(
        name=recipe.name,
        section=recipe.section,
        title=recipe.title,
        caption=caption + lost,
        alt=drawing.alt,
        png=png,
        pdf=pdf,
        width=width,
        height=height,
    )
