"""All checks of the study doctor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.reads import TestReads, test_reads
from hw2tune.report.claims import ClaimResult, claims
from hw2tune.report.doctor.budget import small_budget
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.seeds import collapses, few_seeds, many_reads, overtuning
from hw2tune.report.doctor.space import at_edges, bad_zones
from hw2tune.report.doctor.stopping import wrong_stopping
from hw2tune.report.study_data import StudyData, read_study_data


def examine_folder(folder: StudyFolder) -> list[Finding]:
    """Read a study and return the findings on it. Raises StudyFolderError for one without a finished trial."""
    data = read_study_data(folder)
    if not data.overview.every_finished:
        raise StudyFolderError(
            f"{folder.root}: no trial of `{folder.name}` has finished, so there is nothing to examine; "
            f"`hw2tune study {folder.study_name}` runs it"
        )
    return examine(data, test_reads(folder.root.parent))


def examine(
    data: StudyData, ledger: Sequence[TestReads] = (), judged: Sequence[ClaimResult] | None = None
) -> list[Finding]:
    """Return the findings on a study: first on its search, or on each of its arms' searches, then on its replicates.

    `ledger` is of test reads, `judged` are the study's claims if they are known.
    """
    judged = claims(data) if judged is None else judged
    return [
        *(one for each in data.overview.searches for one in _of_search(data, each)),
        *([] if data.overview.searches else search_findings(data)),
        *collapses(data, judged),
        *overtuning(data),
        *few_seeds(data, judged),
        *many_reads(data, ledger),
    ]


def search_findings(data: StudyData) -> list[Finding]:
    """Return the findings on the search of a study."""
    return [*at_edges(data), *bad_zones(data), *wrong_stopping(data.overview), *small_budget(data)]


def _of_search(data: StudyData, search: Overview) -> list[Finding]:
    """Return the findings on the search of an arm, which say its name, and where the arm changes the space."""
    name = search.folder.root.name
    arm = re.sub(r"\.\d+$", "", name)
    changed = data.overview.study.arms.get(arm, {})
    return [
        replace(
            one,
            finding=f"Search {name}: {one.finding}",
            remedy=one.remedy.replace("[space]", f"[space] and [arms.{arm}]")
            if one.hyperparameter in changed
            else one.remedy,
        )
        for one in search_findings(replace(data, overview=search))
    ]
