"""All that the page, the summaries and the tables say about one study, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from hw2tune.records.trials.rows import trials_csv
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.claims import CAVEAT, ClaimResult, claims, overlaps_training
from hw2tune.report.doctor.examine import examine
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.stopping import Rung, rungs
from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.selection import Optimism, optimism, race_sentence
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import (
    differences_table,
    epochs_table,
    pairs_table,
    race_table,
    replicates_table,
    searches_table,
    variants_table,
)
from hw2tune.report.variance import variance_table


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """One study's claims, tables and figures. `place` is its own folder beside the page: "" or "mnist/"."""

    data: StudyData
    claims: list[ClaimResult]
    race_sentence: str
    optimism: Optimism | None
    findings: list[Finding]  # of the study doctor
    rungs: list[Rung]  # of early stopping
    tables: dict[str, pd.DataFrame]  # by the name of their file
    figures: Sequence[DrawnFigure | MissingFigure]
    place: str
    earlier: dict[str, str] = field(default_factory=dict)  # verdicts by pair of an earlier report, by another rule

    @property
    def caveats(self) -> dict[str, str]:
        """The caveat of each variant whose evaluation saw training images."""
        return {replicate.variant: CAVEAT for replicate in self.data.replicates if overlaps_training(replicate)}

    @property
    def caveat(self) -> str:
        """The caveat where any variant has one, or the data: what compares them is then no test, or hardly one."""
        return CAVEAT if self.caveats else self.data.dataset.caveat if self.data.dataset else ""

    def file(self, kind: str, name: str) -> str:
        """Return the path of a file, seen from the page: `tables/variants.csv`, `figures/mnist/curves.pdf`."""
        return f"{kind}/{self.place}{name}"

    @property
    def csv(self) -> dict[str, str]:
        """The text of each table, and of the trials, by the name of its file."""
        rows, space = self.data.overview.rows, self.data.overview.study.space
        parameters = dict.fromkeys([*space, *(name for row in rows for name in row.params)])
        texts = {name: table.to_csv(index=False, lineterminator="\n") for name, table in self.tables.items()}
        return texts | {"trials": trials_csv(rows, list(parameters))}

    def count(self, variant: str) -> tuple[int, int]:
        """Return the number of finished replicates of a variant, and of all."""
        replicates = self.data.of(variant)
        return sum(replicate.state == COMPLETE for replicate in replicates), len(replicates)


def compute(
    data: StudyData,
    figures: Sequence[DrawnFigure | MissingFigure] = (),
    place: str = "",
    earlier: dict[str, str] | None = None,
) -> StudyResults:
    """Compute a study's claims and tables, and put its figures beside them."""
    pairs = claims(data)
    return StudyResults(
        data=data,
        claims=pairs,
        race_sentence=race_sentence(data),
        optimism=optimism(data),
        findings=examine(data, judged=pairs),
        rungs=rungs(data.overview),
        tables={
            "variants": variants_table(data),
            "pairs": pairs_table(pairs),
            "differences": differences_table(pairs),
            "replicates": replicates_table(data),
            "epochs": epochs_table(data),
            "race": race_table(data),
            "variance": variance_table(pairs, data),
            **({"searches": searches_table(data)} if data.overview.searches else {}),
        },
        figures=figures,
        place=place,
        earlier=earlier or {},
    )
