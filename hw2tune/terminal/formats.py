"""Results for programs: CSV and JSON with raw numbers, nothing else on stdout."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hw2tune.records.overview import UNREADABLE, Overview
from hw2tune.records.trials.rows import trials_csv
from hw2tune.terminal.streams import results
from hw2tune.text.plain import printable

if TYPE_CHECKING:
    from hw2tune.data.load import DatasetStatus

STUDY_COLUMNS = (
    "name", "state", "trials_finished", "trials_planned", "best", "best_trial", "objective", "direction", "seconds",
    "folder", "error",
)  # fmt: skip
DATASET_COLUMNS = ("name", "title", "found", "source", "problem")


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line of names and a line a row, as RFC 4180 has it but for the line ends. What a row lacks is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    table.writerows(rows)
    results().write(printable(text.getvalue()))


def print_trials_csv(overview: Overview) -> None:
    """A study's trials, as `trials.csv` in its folder holds them; also while it runs."""
    results().write(printable(trials_csv(overview.rows, list(overview.study.space))))


def print_studies_csv(overviews: Sequence[Overview], faults: Mapping[str, str]) -> None:
    """One line a study; an accuracy is a fraction, a loss in nats per image, and `seconds` were spent training."""
    unreadable = [UNREADABLE | {"name": name, "error": fault, "best": None} for name, fault in faults.items()]
    print_csv(STUDY_COLUMNS, [*map(_study, overviews), *unreadable])


def _study(overview: Overview) -> dict[str, Any]:
    best = overview.best
    return {
        "name": overview.folder.name, "state": overview.state, "trials_finished": len(overview.finished),
        "trials_planned": overview.study.trials, "best": best and best.value, "best_trial": best and best.number,
        "objective": overview.study.objective, "direction": overview.study.direction,
        "seconds": round(sum(row.seconds for row in overview.rows), 3), "folder": str(overview.folder.root),
    }  # fmt: skip


def print_datasets_as(statuses: Sequence[DatasetStatus], form: str) -> None:
    """The data sets as JSON or CSV."""
    rows = [asdict(status) for status in statuses]
    print(json.dumps(rows, indent=2), file=results()) if form == "json" else print_csv(DATASET_COLUMNS, rows)


def print_facts_as(facts: Sequence[tuple[str, str]], form: str) -> None:
    """What there is on this machine as JSON, a list by name, or as CSV; a name that is not repeated goes on."""
    named: dict[str, list[str]] = {}
    for name, text in facts:
        named.setdefault(name or next(reversed(named)), []).append(text)
    if form == "json":
        print(json.dumps(named, indent=2), file=results())
    else:
        print_csv(("name", "value"), ({"name": name, "value": one} for name, all_ in named.items() for one in all_))
