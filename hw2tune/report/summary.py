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
from hw2tune.text.plain import SCHEMA, strict_json


def summary_json(results: Sequence[StudyResults]) -> str:
    """Accuracies as fractions, losses in nats; null where there is nothing; paths seen from the file's folder."""
    content = {"schema": SCHEMA, "studies": [_study(one) for one in results]}
    return strict_json(content, indent=1, ensure_ascii=False) + "\n"


def _study(results: StudyResults) -> dict[str, Any]:
    data, optimism = results.data, results.optimism
    study = data.overview.study
    return {
        "name": data.name,
        "state": data.overview.state,
        "caveat": results.caveat,
        "damaged": data.damaged,
        "dataset": data.dataset and asdict(data.dataset),
        "study": study.model_dump(mode="json"),
        "trials": {
            "planned": study.trials,
            "finished": len(data.overview.finished),
            "states": dict(Counter(row.state for row in data.overview.rows)),
        },
        "claims": [asdict(claim) for claim in results.claims],
        "race": results.race_sentence,
        "optimism": optimism and asdict(optimism),
        **{name: records(results.tables[name]) for name in ("variants", "replicates")},
        "candidates": records(results.tables["race"]),
        "tables": {name: results.file("tables", f"{name}.csv") for name in results.tables},
        "figures": [_figure(results, figure) for figure in results.figures],
        "environment": data.environment,
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; null for NaN."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def _figure(results: StudyResults, figure: DrawnFigure | MissingFigure) -> dict[str, Any]:
    shared = {"name": figure.name, "section": figure.section, "title": figure.title}
    if isinstance(figure, MissingFigure):
        return shared | {"missing": figure.reason}
    files = {"png": figure.png, "pdf": figure.pdf}
    return (
        shared
        | {"caption": figure.caption, "alt": figure.alt}
        | {kind: results.file("figures", path.name) for kind, path in files.items()}
    )
