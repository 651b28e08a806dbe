"""The figures of a section, with their captions."""

from __future__ import annotations

from collections.abc import Callable

from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.page.blocks import Absent, Block, Figure, embedded
from hw2tune.report.results import StudyResults

MARKED = ("examples", "classes")  # sections whose figures are drawn from evaluations; curves are not


def figure_blocks(section: str) -> Callable[[StudyResults], list[Block]]:
    """The figures of one section, with a note where one could not be drawn.

    Before any replicate was trained that would be a note for nearly all: the opening has said it.
    """

    def blocks(results: StudyResults) -> list[Block]:
        if not results.data.replicates and section != "search":
            return []
        return [_figure(results, figure) for figure in results.figures if figure.section == section]

    return blocks


def _figure(results: StudyResults, figure: DrawnFigure | MissingFigure) -> Block:
    if isinstance(figure, MissingFigure):
        return Absent(name=figure.name, title=figure.title, reason=figure.reason)
    return Figure(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        alt=figure.alt,
        image=embedded(figure.png),
        width=figure.width,
        height=figure.height,
        file=results.file("figures", figure.pdf.name),
        caveat=results.caveat if figure.section in MARKED else "",
    )
