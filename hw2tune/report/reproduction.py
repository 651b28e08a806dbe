"""The report of a reproduction: published beside reproduced beside held-out test, with a verdict for every row.

ray_results/reproduce-<dataset>/report/
    reproduction.csv    every printed number
    reproduction.md     the same for a pull request
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hw2tune.records.folder import StudyFolder, write_atomically
from hw2tune.records.replicates import Replicate, ReplicatesFolder, read_replicates
from hw2tune.report.tables.reproduction import Reproduction, reproduce
from hw2tune.study.published import published_epochs
from hw2tune.study.schema import LABELS


@dataclass(frozen=True, kw_only=True)
class ReproductionReport:
    """What was written, and what it says by run (`baseline`, `l2`)."""

    name: str
    runs: dict[str, Reproduction]
    table: Path
    markdown: Path


def write_reproduction(folder: StudyFolder) -> ReproductionReport:
    """Compares the runs in a `reproduce-<dataset>` folder with the published ones and writes the tables."""
    dataset = folder.name.removeprefix("reproduce-")
    replicates = read_replicates(ReplicatesFolder.of(folder))
    runs = {label: reproduce(published_epochs(dataset, label), _epochs_of(replicates, label)) for label in LABELS}
    report = ReproductionReport(
        name=dataset,
        runs=runs,
        table=folder.root / "report" / "reproduction.csv",
        markdown=folder.root / "report" / "reproduction.md",
    )
    rows = pd.concat([run.rows.assign(run=label) for label, run in runs.items()])
    rows = rows[["run", *(column for column in rows.columns if column != "run")]]
    write_atomically(report.table, rows.to_csv(index=False, lineterminator="\n"))
    write_atomically(report.markdown, _markdown(report))
    return report


def _epochs_of(replicates: Sequence[Replicate], label: str) -> list[list[dict[str, object]]]:
    return [replicate.epochs for replicate in replicates if replicate.variant == label]


def _markdown(report: ReproductionReport) -> str:
    parts = [f"# The published {report.name} runs, reproduced"]
    for label, run in report.runs.items():
        parts += [f"## {label}", run.sentence, run.tolerance_note, *([f"**{run.stamp}**"] if run.stamp else [])]
        columns = COLUMNS
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(cells(row)) + " |" for _, row in run.rows.iterrows()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


COLUMNS = ("epoch", "quantity", "published", "reproduced", "min to max", "held-out test", "tolerance", "verdict")


def cells(row: pd.Series) -> list[str]:
    """One row of `Reproduction.rows` as text, under COLUMNS. Losses with four digits, accuracies in percent."""
    accuracy = str(row["quantity"]).endswith("accuracy")

    def number(value: float) -> str:
        if pd.isna(value):
            return "-"
        return f"{100 * value:.2f} %" if accuracy else f"{value:.4f}"

    verdict = str(row["verdict"]) + (f" ({row['note']})" if row["note"] else "")
    return [
        str(row["epoch"]),
        str(row["quantity"]).replace("_", " "),
        number(row["published"]),
        number(row["mean"]),
        f"{number(row['min'])} to {number(row['max'])}",
        number(row["held_out"]),
        number(row["tolerance"]),
        verdict,
    ]
