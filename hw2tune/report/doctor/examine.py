"""All checks of the study doctor."""

from __future__ import annotations

from collections.abc import Sequence

from hw2tune.records.reads import TestReads
from hw2tune.report.doctor.budget import small_budget
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.seeds import collapses, few_seeds, many_reads, overtuning
from hw2tune.report.doctor.space import at_edges, bad_zones
from hw2tune.report.doctor.stopping import wrong_stopping
from hw2tune.report.study_data import StudyData


def examine(data: StudyData, ledger: Sequence[TestReads] = ()) -> list[Finding]:
    """Return the findings on a study: first on its search, then on its replicates. `ledger` is of test reads."""
    return [
        *at_edges(data),
        *bad_zones(data),
        *wrong_stopping(data.overview),
        *small_budget(data),
        *collapses(data),
        *overtuning(data),
        *few_seeds(data),
        *many_reads(data, ledger),
    ]
