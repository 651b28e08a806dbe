"""The sections of a study's page, in reading order. A later section is one more line in SECTIONS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hw2tune.report.page.blocks import Block, Section
from hw2tune.report.page.claims import damaged_prose, opening_prose, variants_blocks
from hw2tune.report.page.environment import environment_blocks
from hw2tune.report.page.figures import figure_blocks
from hw2tune.report.page.replicates import replicate_blocks
from hw2tune.report.page.search import search_blocks
from hw2tune.report.results import StudyResults

__all__ = ["SECTIONS", "Part", "opening", "sections"]


@dataclass(frozen=True)
class Part:
    """A section before it is filled."""

    anchor: str
    title: str
    blocks: Callable[[StudyResults], list[Block]]


SECTIONS = (
    Part("variants", "Variants", variants_blocks),
    Part("curves", "Learning curves", figure_blocks("curves")),
    Part("weights", "Weights and biases", figure_blocks("weights")),
    Part("examples", "Right and wrong", figure_blocks("examples")),
    Part("features", "Feature maps", figure_blocks("features")),
    Part("classes", "Classes", figure_blocks("classes")),
    Part("preprocessing", "Preprocessing", figure_blocks("data")),
    Part("search", "Search", search_blocks),
    # The study doctor's place: Part("doctor", "Study doctor", doctor_blocks). Without blocks it does not show.
    Part("replicates", "Replicates", replicate_blocks),
    Part("environment", "How to repeat it", environment_blocks),
)


def opening(results: Sequence[StudyResults]) -> Section:
    """What stands first: the claims, and what they rest on."""
    return Section(
        anchor="claims", title="Claims", columns=[[opening_prose(one), *damaged_prose(one)] for one in results]
    )


def sections(results: Sequence[StudyResults]) -> list[Section]:
    """Every section; the page leaves out the empty ones."""
    return [
        Section(anchor=part.anchor, title=part.title, columns=[part.blocks(one) for one in results])
        for part in SECTIONS
    ]
