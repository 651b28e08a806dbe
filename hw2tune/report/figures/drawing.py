"""What a figure's file hands over: a drawing with its caption, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure

from hw2tune.report.study_data import StudyData

Section = Literal["curves", "weights", "examples", "features", "classes", "data", "search"]


class CannotDrawError(Exception):
    """There is nothing to draw; the message is one sentence for the page."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with what the page says about it. All text is plain: escape it where it is printed."""

    figure: Figure
    caption: str  # what it shows and how it was made, with n and what a band means
    alt: str  # the picture in one sentence, for those who do not see it


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one figure is made. `draw` raises CannotDrawError where the data lack what it needs."""

    name: str
    section: Section
    title: str
    draw: Callable[[StudyData], Drawing]
