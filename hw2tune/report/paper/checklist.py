"""`checklist.md`: the items of three checklists, ticked where the records answer them and nothing is left to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from hw2tune.report.appendix.checklists import Item, checklists
from hw2tune.report.results import StudyResults
from hw2tune.report.write import escape
from hw2tune.text.numbers import listed


def checklist_md(every: Sequence[StudyResults]) -> str:
    """Return a list of tasks per study and checklist."""
    return "\n".join(line for results in every for line in _of_a_study(results))


def _of_a_study(results: StudyResults) -> Iterator[str]:
    yield f"# Checklists for {escape(results.data.name)}\n"
    yield "Items are shortened; their numbers are those of the source. Files are below the study's folder.\n"
    for name, items in groupby(checklists(results), lambda one: one.checklist):
        yield from [f"## {escape(name)}\n", *map(_task, items), ""]


def _task(item: Item) -> str:
    done = "x" if item.answered and not item.author else " "
    files = listed([f"`{file}`" for file in item.source])
    answer = f": {escape(item.answer)} ({files})" if item.answered else ""
    author = f" **To you:** {escape(item.author)}." if item.author else ""
    return f"- [{done}] {escape(f'{item.number} {item.text}')}{answer}{author}"
