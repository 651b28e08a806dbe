"""Results of a comparison: a JSON file that says where it was measured, and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hw2tune.records.environment import run_facts

PACKAGES = ("hw2tune", "torch", "torchvision", "ray", "optuna", "numpy")


def write_results(name: str, measured: Mapping[str, Any]) -> None:
    """Writes benchmarks/results/<name>.json and says so."""
    path = Path("benchmarks") / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": _machine(), **measured}, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a row, under the keys of the first."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}" if isinstance(
        value, float) else str(value)  # fmt: skip


def _machine() -> dict[str, Any]:
    facts = run_facts()
    known = {name: facts[name] for name in ("processor", "cores", "memory_gib", "python")}
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"date": datetime.now().astimezone().isoformat(timespec="seconds"), **known, "versions": versions}
