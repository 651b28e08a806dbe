"""The appendix of a page: the limits of the verdicts, and the checklists' items with their answers."""

from __future__ import annotations

from itertools import groupby

from hw2tune.report.appendix.checklists import Item, checklists
from hw2tune.report.appendix.limits import limits
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.report.variance import IMAGES, RACE, SPLIT, Variance, repeat_next, variances
from hw2tune.text.numbers import DASH, listed, sentence


def limits_blocks(results: StudyResults) -> list[Block]:
    """What the verdicts cover and what they do not, and the sources of each claim's uncertainty."""
    found = limits(results)
    return [Prose(name="limits", paragraphs=found), *_variance(results)] if found else []


def _variance(results: StudyResults) -> list[Table]:
    found = variances(results.claims, results.data)
    if not found:
        return []
    rows = [
        Row(
            cells=[
                f"{one.variant} against {one.against}",
                str(one.n),
                *(_share(one, source) for source in (one.repeated, IMAGES, RACE, SPLIT)),
                repeat_next(one),
            ]
        )
        for one in found
    ]
    repeated, measured = found[0].repeated.partition(",")[0], found[0].unit == "split"
    numbers = ["n", "Splits and seeds" if repeated == "splits" else sentence(repeated), "Test images", "Race", "Split"]
    split = "Every training of a study has the same split of training and validation images."
    if measured:
        split = "Split: what other training and validation images change, told from the seeds by the seeds of a split."
    table = Table(
        name="variance",
        title="Sources of variance",
        caption=(
            "Shares of the variance of each mean difference; estimates, rough from few repetitions. "
            f"{numbers[1]}: what more {repeated} take away. Test images: what "
            "other images of the same kind would change, however many repetitions. Race: the "
            f"doubt about the best finalist, on validation images; finalists of another search are not in it. {split}"
        ),
        columns=["Pair", *numbers, "To repeat next"],
        numeric=numbers,
        rows=rows,
        file=results.file("tables", "variance.csv"),
    )
    return [table]


def _share(one: Variance, source: str) -> str:
    share = one.share(source)
    if share is None and source == SPLIT and one.unit == "split":
        return "with its seeds"
    return "not measured" if share is None else f"{100 * share:.0f} %"


def checklist_blocks(results: StudyResults) -> list[Block]:
    """One table per checklist, and the items without an answer; none without a replicate to publish."""
    if not results.data.replicates:
        return []
    lists = groupby(checklists(results), lambda one: one.checklist)
    return [block for name, items in lists for block in _checklist(name, list(items))]


def _checklist(name: str, items: list[Item]) -> list[Block]:
    anchor = f"checklist-{name.split()[0].lower()}"
    answered = [one for one in items if one.answered]
    others = [f"{one.number} {one.text}: {one.author}" for one in items if not one.answered]
    left = [Prose(name=f"{anchor}-left", note=f"Left to the author. {'; '.join(others)}.", paragraphs=[])]
    return [_table(name, anchor, answered, len(items)), *(left if others else [])]


def _table(name: str, anchor: str, items: list[Item], every: int) -> Table:
    rows = [
        Row(
            cells=[
                f"{one.number} {one.text}",
                one.answer,
                one.author or DASH,
                listed([f"`{file}`" for file in one.source]) if one.source else DASH,
            ]
        )
        for one in items
    ]
    return Table(
        name=anchor,
        title=name,
        caption=(
            f"{len(items)} of {every} items have an answer in the records; the files are below the study's folder. "
            "Items are shortened; their numbers are those of the source."
        ),
        columns=["Item", "Answer", "Left to the author", "From"],
        rows=rows,
    )
