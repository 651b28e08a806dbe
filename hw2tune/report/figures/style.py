"""One style for all figures: colours, lines and markers that tell things apart in grey too."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from hw2tune.records.trials.states import COMPLETE, DIVERGED, FAILED, INTERRUPTED, LOST, PRUNED, RUNNING
from hw2tune.study.schema import TUNED, Study

# Okabe and Ito, "Color Universal Design" (2008): distinct with every common colour blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#767676"

WIDTH = 6.0  # inches: 9 pt are then still read on a phone that is 360 pixels wide
SMALL = 9  # points, the smallest text
HANDLE_LETTERS = 9  # that the mark beside a legend's text and the space to the next take up
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine
SEQUENTIAL = "cividis"  # safe with colour blindness, and rises in grey as well

Dashes = Literal["-"] | tuple[float, tuple[float, ...]]


def ink() -> str:
    """The colour of text and outlines: black, unless a caller's own style is followed."""
    return to_hex(mpl.rcParams["text.color"])


def paper() -> str:
    """The colour behind everything: white, unless a caller's own style is followed."""
    return to_hex(mpl.rcParams["axes.facecolor"])


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of one thing, wherever it appears."""

    on_white: str
    marker: str
    dashes: Dashes = "-"

    @property
    def colour(self) -> str:
        """Black stands for the colour of text, which is light on a dark page."""
        return ink() if self.on_white == BLACK else self.on_white


# References in their order, the winner, and what is derived of them; from the fourth on they are used again.
REFERENCE_LOOKS = (
    Look(BLACK, "o"), Look(VERMILLION, "s", (0, (5, 1.5))), Look(ORANGE, "P", (0, (3, 1))),
    Look(GREY, "v", (0, (1, 1))),
)  # fmt: skip
TUNED_LOOK = Look(BLUE, "^", (0, (7, 1.5, 1.5, 1.5)))
DERIVED_LOOKS = (Look(GREEN, "D", (0, (1.5, 1.5))), Look(PURPLE, "X", (0, (4, 1, 1, 1))), Look(SKY, "*", (0, (2, 2))))
STATE_LOOKS = {
    COMPLETE: Look(BLUE, "o"),
    PRUNED: Look(SKY, "v"),
    DIVERGED: Look(VERMILLION, "X"),
    FAILED: Look(ORANGE, "P"),
    LOST: Look(PURPLE, "*"),
    INTERRUPTED: Look(GREY, "d"),
    RUNNING: Look(GREY, "d"),
}
OPTIMIZER_LOOKS = {
    "sgd": Look(SKY, "o"), "adam": Look(ORANGE, "s"), "adamw": Look(PURPLE, "^"), "rmsprop": Look(GREEN, "v"),
    "radam": Look(VERMILLION, "D"), "nadam": Look(BLACK, "P"), "adagrad": Look(GREY, "X"), "muon": Look(BLUE, "*"),
}  # fmt: skip

# In place of matplotlib's defaults.
_SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "figure.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "image.interpolation": "nearest",
    "text.parse_math": False,  # names come from study files: a `$` in them is a dollar
    "pdf.fonttype": 42,  # TrueType: what journals ask for
}
# Over these in a paper's narrow column.
_COLUMN: dict[str, Any] = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "figure.labelsize"), SMALL - 2.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL - 2.5),
    "lines.linewidth": 1.1,
    "lines.markersize": 3.0,
    "axes.linewidth": 0.6,
}
# What a caller's own style decides where figures are drawn for it: colours and resolution.
THEME = re.compile(
    r"text\.color|axes\.(facecolor|edgecolor|labelcolor|titlecolor)|[xy]tick\.(color|labelcolor)|grid\.color"
    r"|legend\.(facecolor|edgecolor|labelcolor)|(figure|savefig)\.(facecolor|edgecolor|dpi)"
)


@contextmanager
def callers_style() -> Iterator[None]:
    """Draw in the style of the report, with the colours and the resolution that the caller has set."""
    theme = {name: value for name, value in mpl.rcParams.items() if THEME.fullmatch(name)}
    theirs = {name: value for name, value in theme.items() if value != mpl.rcParamsDefault[name]}
    with style(), mpl.rc_context(theirs):
        yield


@contextmanager
def column_style() -> Iterator[None]:
    """Draw in the style of the report for a narrow column of a paper: smaller text, finer lines."""
    with mpl.rc_context(_COLUMN):  # type: ignore[arg-type]  # the stubs know literal keys
        yield


def narrow() -> bool:
    """Return whether figures are drawn for a paper's column."""
    return small() < SMALL


def line_letters() -> int:
    """Return the letters of the smallest text that fit across a figure."""
    return 56 if narrow() else 80


def line_points() -> float:
    """Return the points across a figure, without its margins."""
    return 72 * (3.25 if narrow() else WIDTH) - 8


def text_width(text: str, *, bold: bool = False) -> float:
    """Return the points that a text of the smallest size takes up at most: hinting adds 5 % in coarse pictures."""
    font = FontProperties(family=FONT, size=small(), weight="bold" if bold else "normal")
    return 1.05 * float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def small() -> float:
    """Points of the smallest text."""
    return float(mpl.rcParams["xtick.labelsize"])


def resized(figure: Figure) -> Figure:
    """The figure as wide as the caller's style has figures, where it says so; the shape stays."""
    width = mpl.rcParams["figure.figsize"][0]
    if width != mpl.rcParamsDefault["figure.figsize"][0]:
        figure.set_size_inches(figure.get_size_inches() * width / WIDTH)
    return figure


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the report, whatever the user's own matplotlib is set to."""
    # Not `rcdefaults`: it keeps some of the user's settings, and reads the user's style files.
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    settings = mpl.rc_context(defaults | _SETTINGS)  # type: ignore[arg-type]  # the stubs know literal keys
    with warnings.catch_warnings(), settings:
        # A caption says which characters are drawn as boxes; a warning does not belong into a report.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


class _ShownFigure(Figure):
    """A figure that a notebook shows, also where pyplot, which teaches it to, is not imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi, bbox_inches="tight")
        return buffer.getvalue()


def new_figure(height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure of WIDTH x `height` inches; nothing is registered anywhere, so that nothing needs closing."""
    figure = _ShownFigure(figsize=(WIDTH, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def legend(figure: Figure, handles: list[Line2D], columns: int) -> None:
    """A legend above the panels, where it covers no data; in fewer columns if its texts are long."""
    lengths = [len(str(handle.get_label())) + HANDLE_LETTERS for handle in handles]
    columns = min(columns, len(handles), 2 if narrow() else columns)
    while columns > 1 and sum(max(part) for part in np.array_split(lengths, columns)) > line_letters():
        columns -= 1
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.4, handlelength=2.6)


def looks_of(study: Study) -> dict[str, Look]:
    """The look of each of a study's references and variants, by name."""
    derived = [name for name in study.variants if name not in (*study.references, TUNED)]
    return {
        **dict(zip(study.references, cycle(REFERENCE_LOOKS), strict=False)),
        TUNED: TUNED_LOOK,
        **dict(zip(derived, cycle(DERIVED_LOOKS), strict=False)),
    }


def state_look(state: str) -> Look:
    """The look of a state; another word for it looks as failed."""
    return STATE_LOOKS.get(state, STATE_LOOKS[FAILED])


def optimizer_look(name: str) -> Look:
    """The look of an optimizer, known or not."""
    return OPTIMIZER_LOOKS.get(name, Look(GREY, "D"))


def marker(look: Look, label: str, *, filled: bool = True) -> Line2D:
    """A point as the legend shows it."""
    face = look.colour if filled else paper()
    return Line2D([], [], linestyle="", marker=look.marker, color=look.colour, markerfacecolor=face, label=label)


def power_of_ten(exponent: int) -> str:
    """10⁻³, without mathtext."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
