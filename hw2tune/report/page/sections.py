"""The sections of a study's page, in reading order. A later section is one more line in SECTIONS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hw2tune.report.page.blocks import Block, Section
from hw2tune.report.page.claims import damaged_prose, opening_prose, variants_blocks
from hw2tune.report.page.environment import environment_blocks
from hw2tune.report.page.figures import figure_blocks
from hw2tune.report.page.replicates import replicate_blocks
from hw2tune.report.page.search import search_blocks
from hw2tune.report.results import StudyResults

# Anchor, title, and the blocks of one study.
SECTIONS: Sequence[tuple[str, str, Callable[[StudyResults], list[Block]]]] = (
    ("variants", "Variants", variants_blocks),
    ("curves", "Learning curves", figure_blocks("curves")),
    ("weights", "Weights and biases", figure_blocks("weights")),
    ("examples", "Right and wrong", figure_blocks("examples")),
    ("features", "Feature maps", figure_blocks("features")),
    ("classes", "Classes", figure_blocks("classes")),
    ("preprocessing", "Preprocessing", figure_blocks("data")),
    ("search", "Search", search_blocks),
    # The study doctor's place: ("doctor", "Study doctor", doctor_blocks). Without blocks it does not show.
    ("replicates", "Replicates", replicate_blocks),
    ("environment", "How to repeat it", environment_blocks),
)


def opening(results: Sequence[StudyResults]) -> Section:
    """What stands first: the claims, and what they rest on."""
    return Section(
        anchor="claims", title="Claims", columns=[[opening_prose(one), *damaged_prose(one)] for one in results]
    )


def sections(results: Sequence[StudyResults]) -> list[Section]:
    """Every section; the page leaves out the empty ones."""
    return [
        Section(anchor=anchor, title=title, columns=[blocks(one) for one in results])
        for anchor, title, blocks in SECTIONS
    ]
