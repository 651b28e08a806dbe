"""Tidy tables that grow while a study runs, for whatever reads CSV: one row a run that ended, one row an epoch.

    logs/csv/trials.csv       name, state, results and hyperparameters of each trial
    logs/csv/epochs.csv       name, epoch and metrics
    logs/csv/replicates.csv, replicate_epochs.csv    the same of replicates and of the race's trainings

Rows are added at the end where that is all there is to do. Else a table is written anew from the records, in order: at
a study's beginning and end, where an epoch was trained again, where a column is new.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.runs import Run
from hw2tune.records.atomic import write_atomically, writing
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview

Row = Mapping[str, Any]


class CSVLogger(RecordsLogger):
    """Writes `logs/csv/` in the study's folder."""

    name = "csv"

    def place(self, folder: StudyFolder) -> Path:
        return folder.logs / "csv"

    def begin(self, overview: Overview) -> None:
        place = self.place(overview.folder)
        self._runs = {True: Table(place / "trials.csv"), False: Table(place / "replicates.csv")}
        self._epochs = {True: Table(place / "epochs.csv"), False: Table(place / "replicate_epochs.csv")}

    def write(self, run: Run) -> None:
        trial = run.kind == "trial"
        self._runs[trial].put(run.name, [_row(run)] if run.ended else [])
        self._epochs[trial].put(
            run.name, [{"name": run.name, "epoch": one.number, "time": one.time, **one.metrics} for one in run.epochs]
        )

    def flush(self) -> None:
        for table in self._tables():
            table.write()

    def end(self, overview: Overview) -> None:
        for table in self._tables():
            table.write(in_order=True)

    def _tables(self) -> Iterable[Table]:
        return chain(self._runs.values(), self._epochs.values())


def _row(run: Run) -> Row:
    about = {"name": run.name, "kind": run.kind, "label": run.label, "state": run.state, "reason": run.reason}
    return {**about, "epochs": len(run.epochs), "best_epoch": run.best_epoch, **run.results, **run.params}


class Table:
    """One CSV file and the rows that it shall hold, by run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Sequence[Row]] = {}
        self.columns: dict[str, None] = {}  # in order
        self.pending: list[Row] | None = None  # what the file lacks at its end; None: it must be written anew

    def put(self, run: str, rows: Sequence[Row]) -> None:
        """Gives a run its rows."""
        before, self.rows[run] = self.rows.get(run, []), rows
        new = rows[len(before) :]
        if rows[: len(before)] != before or any(row.keys() - self.columns.keys() for row in new):
            self.pending = None
        elif self.pending is not None:
            self.pending += new
        self.columns |= dict.fromkeys(chain.from_iterable(new))

    def write(self, *, in_order: bool = False) -> None:
        """Brings the file up to date. Raises NotWritableError."""
        new, self.pending = self.pending, None  # until it is written nothing is known of the file
        if not any(self.rows.values()):
            return
        if new is None or in_order:
            header = dict(zip(self.columns, self.columns, strict=True))
            rows = chain.from_iterable(self.rows[run] for run in sorted(self.rows, key=_by_number))
            write_atomically(self.path, self._text([header, *rows]))
        elif new:
            text = self._text(new)
            with writing(self.path, len(text)), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        self.pending = []

    def _text(self, rows: Iterable[Row]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, list(self.columns), lineterminator="\n").writerows(rows)
        return text.getvalue()


def _by_number(run: str) -> list[tuple[int, str]]:
    """`seed-2` before `seed-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", run)]
