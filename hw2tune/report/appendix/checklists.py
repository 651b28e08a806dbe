"""Items of three published checklists, each answered from the records or left to the author.

The wording of an item is shortened; its number is that of the source:

- Dodge et al. (2019), Show Your Work, Text Box 1 (https://aclanthology.org/D19-1224), counted from 1
- REFORMS: Kapoor et al. (2024), Science Advances 10, eadk3452, Table 1 (https://reforms.cs.princeton.edu)
- NeurIPS Paper Checklist, items 4, 7 and 8 (https://neurips.cc/public/guides/PaperChecklist)
"""

from __future__ import annotations

from dataclasses import dataclass

from hw2tune.report.appendix.data_facts import Fact
from hw2tune.report.appendix.facts import FACTS
from hw2tune.report.appendix.limits import limits
from hw2tune.report.results import StudyResults

DODGE, REFORMS, NEURIPS = "Dodge et al. (2019)", "REFORMS (2024)", "NeurIPS Paper Checklist"

# Number, item, the facts that answer it (names in FACTS), and what is left to the author.
Row = tuple[str, str, str, str]
ITEMS: dict[str, tuple[Row, ...]] = {
    DODGE: (
        ("1", "Computing infrastructure", "infrastructure", ""),
        ("2", "Average runtime of each approach", "runtime", ""),
        ("3", "Train, validation and test splits", "splits", ""),
        ("4", "Validation performance for each test result", "validation", ""),
        ("5", "Link to the code", "code", "a public link to it"),
        ("6", "Bounds of each hyperparameter", "space", ""),
        ("7", "Configurations of the best models", "configurations", ""),
        ("8", "Number of search trials", "trials", ""),
        ("9", "Method of choosing values, and the criterion", "method selection", ""),
        ("10", "Expected validation performance by number of trials", "budget", ""),
    ),
    REFORMS: (
        ("1a", "Population about which the claim is made", "", "the population"),
        ("1b", "Motivation for this population", "", "the motivation"),
        ("1c", "Motivation for machine learning", "", "the motivation"),
        ("2a", "Data set, and a link to this version", "data", "a link or DOI"),
        ("2b", "Code, and a link to this version", "code", "a link or DOI"),
        ("2c", "Computing infrastructure", "infrastructure runtime", ""),
        ("2d", "README with instructions", "commands", "where the study's folder is published"),
        ("2e", "Script that produces all results", "commands", "a script around these commands"),
        ("3a", "Sources of the data and their annotation", "source", "time of collection and annotation"),
        ("3b", "Sampling frame", "", "the sampling frame"),
        ("3c", "Usefulness of the data set for the task", "", "the reason"),
        ("3d", "Outcome variable, with its distribution", "outcome", ""),
        ("3e", "Sample size", "splits", ""),
        ("3f", "Missing data, by class", "", "the number of missing images"),
        ("3g", "Representativeness of the data set", "", "the reason"),
        ("4a", "Excluded samples", "preparation", "images excluded before hw2tune read the data"),
        ("4b", "Impossible or corrupt samples", "corrupt", ""),
        ("4c", "Transformations of the data", "preprocessing", ""),
        ("5a", "Models, inputs and loss", "model", ""),
        ("5b", "Reason for these model types", "", "the reason"),
        ("5c", "Evaluation method and splits", "splits evaluation", ""),
        ("5d", "Selection of the reported model", "selection", ""),
        ("5e", "Hyperparameter tuning", "method trials space", ""),
        ("5f", "Appropriate baselines", "baselines", ""),
        ("6a", "Separation of training and test data", "separation", ""),
        ("6b", "Dependencies and duplicates between splits", "duplicates", "dependencies that are not equal images"),
        ("6c", "Legitimacy of the inputs", "", "the reason"),
        ("7a", "Metrics", "metrics", "the reason for this metric"),
        ("7b", "Uncertainty estimates", "uncertainty", ""),
        ("7c", "Statistical tests and their assumptions", "tests", ""),
        ("8a", "Evidence of external validity", "", "the evidence: the study has one data set"),
        ("8b", "Contexts in which the findings may not hold", "limits", "contexts beyond these limits"),
    ),
    NEURIPS: (
        ("4", "Information needed to reproduce the main results", "data code commands", ""),
        ("7", "Error bars and statistical significance", "uncertainty tests", ""),
        ("8", "Compute: workers, memory, time", "infrastructure runtime", "runs outside of this study"),
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
    facts = {name: fact(results) for name, fact in FACTS.items()} | {"limits": Fact(" ".join(limits(results)))}
    return [_item(checklist, row, facts) for checklist, rows in ITEMS.items() for row in rows]


def _item(checklist: str, row: Row, facts: dict[str, Fact]) -> Item:
    number, text, names, author = row
    found = [facts[name] for name in names.split() if facts[name].text]
    return Item(
        checklist=checklist,
        number=number,
        text=text,
        answer=" ".join(one.text for one in found),
        source=tuple(dict.fromkeys(file for one in found for file in one.source)),
        author=author if found else author or "the records do not tell",
    )
