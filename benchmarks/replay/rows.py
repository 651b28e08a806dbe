"""Parts of a table's rows, by name: what a search draws from."""

from __future__ import annotations

import numpy as np

from benchmarks.replay.table import Table

TUNING, CONFIRMING = "tuning", "confirming"  # halves of the table: settings are chosen on the first alone
SUBSET = "subset-"  # two thirds of the rows, drawn by the number behind it
SHARE = 2 / 3


def rows_of(table: Table, names: str) -> list[str]:
    """The rows in all of the parts in `names`, joined by +; references are in each part. `all` is every row.

    >>> rows_of(table, "tuning+living")
    """
    rows = list(table.configurations)
    for name in names.split("+"):
        kept = _part(table, name, [row for row in rows if row.isdigit()])
        rows = [row for row in rows if row in kept or not row.isdigit()]
    return rows


def _part(table: Table, name: str, rows: list[str]) -> set[str]:
    if name == "all":
        return set(rows)
    if name == "living":
        return {row for row in rows if table.alive(row)}
    if name in (TUNING, CONFIRMING):
        return {row for row in rows if (int(row) < table.task.rows / 2) == (name == TUNING)}
    assert name.startswith(SUBSET), f"no part {name!r} of a table"
    rng = np.random.default_rng(int(name.removeprefix(SUBSET)))
    return set(rng.choice(rows, round(SHARE * len(rows)), replace=False).tolist())
