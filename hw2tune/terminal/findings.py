"""The study doctor's findings on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from hw2tune.terminal.formats import print_csv, print_json
from hw2tune.text.numbers import counted
from hw2tune.text.plain import SCHEMA

if TYPE_CHECKING:
    from hw2tune.report.doctor.findings import Finding

COLUMNS = ("check", "hyperparameter", "finding", "evidence", "remedy")


def print_findings(name: str, findings: Sequence[Finding], console: Console, form: str) -> None:
    """Print each finding with its evidence and its remedy; one line for a study without any."""
    rows = [asdict(one) for one in findings]
    if form == "json":
        print_json({"schema": SCHEMA, "study": name, "findings": rows})
    elif form == "csv":
        print_csv(COLUMNS, rows)
    else:
        console.print(f"{name}: {counted(len(findings), 'finding')}" if findings else f"{name}: nothing found")
        for one in findings:
            console.print(f"\n- {one.finding}\n  {one.evidence}\n  {one.remedy}", soft_wrap=True)
