"""The appendix of a page: the limits of the verdicts, and the checklists' items with their answers."""

from __future__ import annotations

from itertools import groupby

from hw2tune.report.appendix.checklists import Item, checklists
from hw2tune.report.appendix.limits import limits
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import DASH, listed


def limits_blocks(results: StudyResults) -> list[Block]:
    """What the verdicts cover and what they do not."""
    found = limits(results)
    return [Prose(name="limits", paragraphs=found)] if found else []


def checklist_blocks(results: StudyResults) -> list[Block]:
    """One table per checklist; none without a replicate, as there is nothing to publish."""
    if not results.data.replicates:
        return []
    return [_table(name, list(items)) for name, items in groupby(checklists(results), lambda one: one.checklist)]


def _table(name: str, items: list[Item]) -> Table:
    rows = [
        Row(
            cells=[
                f"{one.number} {one.text}",
                one.answer or DASH,
                one.author or DASH,
                listed([f"`{file}`" for file in one.source]) if one.source else DASH,
            ],
            faded=not one.answered,
        )
        for one in items
    ]
    answered = sum(one.answered for one in items)
    return Table(
        name=f"checklist-{name.split()[0].lower()}",
        title=name,
        caption=(
            f"{answered} of {len(items)} items have an answer in the records; the files are below the study's folder. "
            "Items are shortened; their numbers are those of the source."
        ),
        columns=["Item", "Answer", "Left to the author", "From"],
        rows=rows,
    )
