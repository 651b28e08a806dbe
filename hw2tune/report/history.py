"""History behind the verdicts: claims and seeds that came after results, and the verdicts of an earlier report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hw2tune.records.environment import replicates_runs
from hw2tune.report.outputs import SUMMARY
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import Claim
from hw2tune.text.numbers import listed

EARLIER = ("increase", "decrease", "not detected")  # verdicts of summary.json up to schema 1
NOT_COVERED = ", after results: the 5 % of false verdicts do not cover the choice of this claim"


def history(data: StudyData) -> list[str]:
    """Return sentences on what came after results: claims with the day of their first run, and seeds."""
    return [*_claims_added(data), *_seeds_added(data)]


def _claims_added(data: StudyData) -> list[str]:
    runs, tested = [], []
    for run in data.environment:
        with contextlib.suppress(KeyError, ValidationError):  # damaged, or of an earlier version
            claims = TypeAdapter(list[Claim]).validate_python(run["study"]["claims"])
            runs.append((str(run.get("started"))[:10], sides := [_sides(one) for one in claims]))
            tested += [sides] if replicates_runs([run]) else []
    added = [one for one in data.overview.study.claims if runs and _sides(one) not in runs[0][1]]
    sentences = []
    for one in added:
        day = next((f"on {day}, " for day, claims in runs if _sides(one) in claims), "")
        late = NOT_COVERED if tested and _sides(one) not in tested[0] else ""
        sentences.append(f"{one.a.variant} against {one.b.variant} was added {day}after the study's first run{late}.")
    return sentences


def _sides(claim: Claim) -> Any:
    return [(side.of, side.changes) for side in (claim.a, claim.b)]


def _seeds_added(data: StudyData) -> list[str]:
    """Return a sentence on the numbers of seeds asked for, if they are not one number."""
    asked: list[tuple[str, str]] = []
    for run in replicates_runs(data.environment):
        number = str(run.asked) if run.most is None else f"{run.asked} (up to {run.most})"
        asked += [(number, run.started[:10])] if not asked or asked[-1][0] != number else []
    if len(asked) < 2:
        return []
    return [
        f"Seeds were added after results: {listed([f'{number} asked for on {day}' for number, day in asked])}. The "
        "verdicts hold, as they may be looked at after each seed."
    ]


def earlier_verdicts(reports: Iterable[Path], name: str) -> dict[str, str]:
    """Return the verdicts on a study's pairs in the first of these reports that has any by the rule of schema 1.

    A report of a later schema hands on those that it replaced.
    """
    for report in reports:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            studies = json.loads((report / SUMMARY).read_bytes())["studies"]
            study = next(one for one in studies if one["name"] == name)
            said = {f"{one['variant']} against {one['against']}": str(one["verdict"]) for one in study["claims"]}
            found = study.get("earlier_verdicts", {pair: word for pair, word in said.items() if word in EARLIER})
            return {str(pair): str(word) for pair, word in found.items() if word in EARLIER}
    return {}


def restated(earlier: dict[str, str]) -> str:
    """Return a sentence on the verdicts of an earlier report; empty without any."""
    if not earlier:
        return ""
    words = listed([f"{pair}: {word}" for pair, word in earlier.items()])
    return f"An earlier report gave other verdicts, each by a 95 % interval over its seeds alone ({words})."
