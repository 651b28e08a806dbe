"""`summary.json`: the report for programs. Keys are only ever added to a schema."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.results import StudyResults

SCHEMA = 1


def summary_json(accounts: Sequence[StudyResults]) -> str:
    """Accuracies as fractions, losses in nats; null where there is nothing; paths seen from the file's folder."""
    content = {"schema": SCHEMA, "studies": [_study(one) for one in accounts]}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _study(account: StudyResults) -> dict[str, Any]:
    sources, optimism = account.sources, account.optimism
    study = sources.overview.study
    return {
        "name": sources.name,
        "state": sources.overview.state,
        "caveat": account.caveat,
        "damaged": sources.damaged,
        "dataset": sources.dataset and asdict(sources.dataset),
        "study": study.model_dump(mode="json"),
        "trials": {
            "planned": study.trials,
            "finished": len(sources.overview.finished),
            "states": dict(Counter(row.state for row in sources.overview.rows)),
        },
        "claims": [asdict(claim) for claim in account.claims],
        "race": account.race_sentence,
        "optimism": optimism and asdict(optimism),
        **{name: records(account.tables[name]) for name in ("variants", "replicates")},
        "candidates": records(account.tables["race"]),
        "tables": {name: account.file("tables", f"{name}.csv") for name in account.tables},
        "figures": [_figure(account, figure) for figure in account.figures],
        "environment": sources.environment,
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; null for NaN."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def _figure(account: StudyResults, figure: DrawnFigure | MissingFigure) -> dict[str, Any]:
    shared = {"name": figure.name, "section": figure.section, "title": figure.title}
    if isinstance(figure, MissingFigure):
        return shared | {"missing": figure.reason}
    files = {"png": figure.png, "pdf": figure.pdf}
    return (
        shared
        | {"caption": figure.caption, "alt": figure.alt}
        | {kind: account.file("figures", path.name) for kind, path in files.items()}
    )
