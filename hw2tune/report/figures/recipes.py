"""All figures of a study, drawn into a folder."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import Image

from hw2tune.records.atomic import write_atomically
from hw2tune.report.figures import classes, examples
from hw2tune.report.figures.coordinates import draw_coordinates
from hw2tune.report.figures.curves import draw_curves
from hw2tune.report.figures.drawing import CannotDrawError, Mark, Recipe, Section, class_names
from hw2tune.report.figures.finalists import draw_finalists
from hw2tune.report.figures.forest import draw_claims
from hw2tune.report.figures.history import draw_history, draw_pareto
from hw2tune.report.figures.hyperparameters import draw_importances
from hw2tune.report.figures.networks import feature_recipes, weight_recipes
from hw2tune.report.figures.panels import draw_panels
from hw2tune.report.figures.preprocessing import draw_preprocessing
from hw2tune.report.figures.style import FONT, style
from hw2tune.report.figures.timeline import draw_timeline
from hw2tune.report.figures.tuning_curve import draw_tuning_curve
from hw2tune.report.page.blocks import Spot
from hw2tune.report.study_data import StudyData

DPI = 200


@dataclass(frozen=True)
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
    choice: str = ""
    spots: tuple[Spot, ...] = ()


@dataclass(frozen=True)
class MissingFigure:
    """A figure that the study has no data for; `reason` is one sentence or two for the page."""

    name: str
    section: Section
    title: str
    reason: str
    choice: str = ""


def recipes(data: StudyData) -> list[Recipe]:
    """Every figure of a study's report, in the order of the page. Figures of claims with a common side are numbered."""
    pareto = Recipe("pareto-front", "search", "Two objectives", draw_pareto)
    every = [
        Recipe("claims", "claims", "The claims", draw_claims),
        Recipe("learning-curves", "curves", "Learning curves", partial(draw_curves, quantity="loss")),
        Recipe("accuracy-curves", "curves", "Accuracy by epoch", partial(draw_curves, quantity="accuracy")),
        *weight_recipes(data),
        *examples.recipes(data),
        *feature_recipes(data),
        *classes.recipes(data),
        Recipe("preprocessing", "data", "What preprocessing does to the pixels", draw_preprocessing),
        *(
            Recipe(
                "specification-curve", "finalists", "The change in each finalist", partial(draw_finalists, curve=one)
            )
            for one in data.curves
        ),
        Recipe("search-history", "search", "The search, trial by trial", draw_history),
        *([pareto] if data.overview.study.second_objective else []),
        Recipe("parallel-coordinates", "search", "Hyperparameters of all trials", draw_coordinates),
        Recipe("importances", "search", "Importance of hyperparameters", draw_importances),
        Recipe("hyperparameters", "search", "Each hyperparameter and the value", draw_panels),
        Recipe("tuning-curve", "search", "The best of n trials", draw_tuning_curve),
        Recipe("timeline", "search", "Trials on workers", draw_timeline),
    ]
    if data.overview.searches:  # which have reports of their own
        every = [recipe for recipe in every if recipe.section != "search"]
    names = [recipe.name for recipe in every]
    earlier = [names[:place].count(name) for place, name in enumerate(names)]
    return [replace(one, name=f"{one.name}.{n + 1}") if n else one for one, n in zip(every, earlier, strict=True)]


def make_figures(data: StudyData, folder: Path, chosen: Sequence[Recipe] = ()) -> list[DrawnFigure | MissingFigure]:
    """Draw the chosen or every figure as `<folder>/<name>.png` and `.pdf`, in the order of the page.

    The same data give the same bytes. What cannot be drawn comes back with its reason.
    """
    fonts, boxes = fonts_for("".join([*class_names(data), *data.variants, data.name, data.label]))
    enabled = gc.isenabled()
    gc.disable()  # a sixth of a report's time went into passes over all objects of the libraries: `_make` collects
    try:
        with style(), mpl.rc_context({"font.family": fonts}):
            return [_make(recipe, data, folder, boxes) for recipe in chosen or recipes(data)]
    finally:
        if enabled:
            gc.enable()


def _make(recipe: Recipe, data: StudyData, folder: Path, boxes: set[str]) -> DrawnFigure | MissingFigure:
    gc.collect(0)  # the last figure
    try:
        drawing = recipe.draw(data)
    except CannotDrawError as error:
        return MissingFigure(recipe.name, recipe.section, recipe.title, str(error), recipe.choice)
    caption = drawing.caption
    if data.dataset and data.dataset.caveat and recipe.section != "search":
        caption += f" Caveat: {data.dataset.caveat}."
    if lacking := boxes and boxes & set("".join(text.get_text() for text in drawing.figure.findobj(Text))):
        caption += f" Boxes stand for {' '.join(sorted(lacking))}: no installed font has them."
    png, pdf = save(drawing.figure, folder, recipe.name)
    with Image.open(png) as image:
        width, height = image.size
    return DrawnFigure(
        recipe.name, recipe.section, recipe.title, caption, drawing.alt, png, pdf, width, height, recipe.choice,
        spots=tuple(map(_spot, drawing.marks)),
    )  # fmt: skip


def _spot(mark: Mark) -> Spot:
    """Return the place of a mark in the saved picture."""
    (x, y), whole = mark.axes.transData.transform((mark.x, mark.y)), mark.axes.figure.bbox
    return Spot(round(float(x) / whole.width, 4), round(1 - float(y) / whole.height, 4), mark.key, mark.text)


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `<name>.png` and `<name>.pdf`, without dates and versions: the same figure is the same bytes.

    `Figure.savefig` would draw a figure with a layout twice for each file.
    """
    figure.set_dpi(DPI)
    if figure.axes and (layout := figure.get_layout_engine()):
        layout.execute(figure)
        figure.set_layout_engine("none")
    png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
    write_atomically(png, _bytes(FigureCanvasAgg(figure).print_png, {"Software": None}))
    with fonts_of_glyphs_alone():
        metadata = {"Creator": None, "Producer": None, "CreationDate": None}
        write_atomically(pdf, _bytes(FigureCanvasPdf(figure).print_pdf, metadata))
    return png, pdf


def _bytes(draw: Callable[..., None], metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    draw(buffer, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def fonts_of_glyphs_alone() -> Iterator[None]:
    """Embed fonts in PDF files without the tables by which a text's glyphs are chosen and placed.

    FontTools would parse them for every font of every figure: a fifth of a report's time.
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
