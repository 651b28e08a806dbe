"""Items of three published checklists, each answered from the records or left to the author.

The wording of an item is shortened; its number is that of the source:

- Dodge et al. (2019), Show Your Work, Text Box 1 (https://aclanthology.org/D19-1224), counted from 1
- REFORMS: Kapoor et al. (2024), Science Advances 10, eadk3452, Table 1 (https://reforms.cs.princeton.edu)
- NeurIPS Paper Checklist, items 4, 7 and 8 (https://neurips.cc/public/guides/PaperChecklist)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hw2tune.report.appendix import data_facts as images
from hw2tune.report.appendix import facts
from hw2tune.report.appendix.data_facts import Fact
from hw2tune.report.appendix.limits import limits
from hw2tune.report.results import StudyResults

DODGE, REFORMS, NEURIPS = "Dodge et al. (2019)", "REFORMS (2024)", "NeurIPS Paper Checklist"


def known_limits(results: StudyResults) -> Fact:
    """The limits of the verdicts, as one fact."""
    return Fact(" ".join(limits(results)))


# Number, item, what is left to the author, and the facts that answer it.
Row = tuple[str, str, str, *tuple[Callable[[StudyResults], Fact], ...]]
ITEMS: dict[str, tuple[Row, ...]] = {
    DODGE: (
        ("1", "Computing infrastructure", "", facts.infrastructure),
        ("2", "Average runtime of each approach", "", facts.runtime),
        ("3", "Train, validation and test splits", "", images.splits),
        ("4", "Validation performance for each test result", "", facts.validation),
        ("5", "Link to the code", "a public link to it", facts.code),
        ("6", "Bounds of each hyperparameter", "", facts.space),
        ("7", "Configurations of the best models", "", facts.configurations),
        ("8", "Number of search trials", "", facts.trials),
        ("9", "Method of choosing values, and the criterion", "", facts.method, facts.selection),
        ("10", "Expected validation performance by number of trials", "", facts.budget),
    ),
    REFORMS: (
        ("1a", "Population about which the claim is made", "the population"),
        ("1b", "Motivation for this population", "the motivation"),
        ("1c", "Motivation for machine learning", "the motivation"),
        ("2a", "Data set, and a link to this version", "a link or DOI", images.data),
        ("2b", "Code, and a link to this version", "a link or DOI", facts.code),
        ("2c", "Computing infrastructure", "", facts.infrastructure, facts.runtime),
        ("2d", "README with instructions", "where the study's folder is published", facts.commands),
        ("2e", "Script that produces all results", "a script around these commands", facts.commands),
        ("3a", "Sources of the data and their annotation", "time of collection and annotation", images.source),
        ("3b", "Sampling frame", "the sampling frame"),
        ("3c", "Usefulness of the data set for the task", "the reason"),
        ("3d", "Outcome variable, with its distribution", "", images.outcome),
        ("3e", "Sample size", "", images.splits),
        ("3f", "Missing data, by class", "the number of missing images"),
        ("3g", "Representativeness of the data set", "the reason"),
        ("4a", "Excluded samples", "images excluded before hw2tune read the data", images.preparation),
        ("4b", "Impossible or corrupt samples", "", images.corrupt),
        ("4c", "Transformations of the data", "", images.preprocessing),
        ("5a", "Models, inputs and loss", "", facts.model),
        ("5b", "Reason for these model types", "the reason"),
        ("5c", "Evaluation method and splits", "", images.splits, facts.evaluation),
        ("5d", "Selection of the reported model", "", facts.selection),
        ("5e", "Hyperparameter tuning", "", facts.method, facts.trials, facts.space),
        ("5f", "Appropriate baselines", "", facts.baselines),
        ("6a", "Separation of training and test data", "", facts.separation),
        (
            "6b",
            "Dependencies and duplicates between splits",
            "dependencies that are not equal images",
            images.duplicates,
        ),
        ("6c", "Legitimacy of the inputs", "the reason"),
        ("7a", "Metrics", "the reason for this metric", facts.metrics),
        ("7b", "Uncertainty estimates", "", facts.uncertainty),
        ("7c", "Statistical tests and their assumptions", "", facts.tests),
        ("8a", "Evidence of external validity", "the evidence: the study has one data set"),
        ("8b", "Contexts in which the findings may not hold", "contexts beyond these limits", known_limits),
    ),
    NEURIPS: (
        ("4", "Information needed to reproduce the main results", "", images.data, facts.code, facts.commands),
        ("7", "Error bars and statistical significance", "", facts.uncertainty, facts.tests),
        ("8", "Compute: workers, memory, time", "runs outside of this study", facts.infrastructure, facts.runtime),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a checklist. Plain text throughout: escape it where it is printed."""

    checklist: str
    number: str
    text: str
    answer: str  # from the records; empty if they cannot tell
    source: tuple[str, ...]  # files of the answer, below the study's folder
    author: str  # what is left to the author; empty if nothing is

    @property
    def answered(self) -> bool:
        """Return whether the records answer any part of it."""
        return bool(self.answer)


def checklists(results: StudyResults) -> list[Item]:
    """Return every item of the three checklists, in their order."""
    return [_item(checklist, row, results) for checklist, rows in ITEMS.items() for row in rows]


def _item(checklist: str, row: Row, results: StudyResults) -> Item:
    number, text, author, *answers = row
    found = [fact for answer in answers if (fact := answer(results)).text]
    return Item(
        checklist=checklist,
        number=number,
        text=text,
        answer=" ".join(one.text for one in found),
        source=tuple(dict.fromkeys(file for one in found for file in one.source)),
        author=author if found else author or "the records do not tell",
    )
