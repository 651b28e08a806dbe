"""What `hw2tune clean` shows."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from hw2tune.execution.cleaning import Leftovers
from hw2tune.records.leftovers import KINDS, SET_ASIDE, Leftover
from hw2tune.terminal.formats import print_csv
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import table_of
from hw2tune.text.plain import SCHEMA, printable

COLUMNS = ("kind", "study", "count", "bytes", "what")


def print_leftovers(leftovers: Leftovers, console: Console, form: str) -> None:
    """What can go, with its kind explained; notes on what was left alone go to stderr."""
    for note in leftovers.notes:
        print(printable(note), file=sys.stderr)
    if form == "json":
        found = [_row(one) | {"paths": [str(path) for path in one.paths]} for one in leftovers.found]
        print(json.dumps({"schema": SCHEMA, "bytes": leftovers.size, "leftovers": found}, indent=2), file=results())
    elif form == "csv":
        print_csv(COLUMNS, map(_row, leftovers.found))
    elif not leftovers.found:
        console.print("nothing can go")
    else:
        _print_table(leftovers, console)


def print_removed(gone: Leftovers) -> None:
    """What has gone, on stderr: stdout is for what was found."""
    for note in gone.notes:
        print(printable(note), file=sys.stderr)
    print(f"{size(gone.size)} freed", file=sys.stderr)


def size(count: int) -> str:
    """Bytes in the unit that reads best: 3.1 GB, 421 MB, 12 kB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"


def _print_table(leftovers: Leftovers, console: Console) -> None:
    cells = [(one.study or "this machine", one.kind, _what(one), size(one.size)) for one in leftovers.found]
    console.print(table_of(("of", "kind", "what", "frees"), [*cells, ("", "", "all", size(leftovers.size))]))
    kinds = dict.fromkeys(one.kind for one in leftovers.found)
    console.print()
    for kind in kinds:
        console.print(f"{kind}: {KINDS[kind]}", soft_wrap=not console.is_terminal)


def _what(one: Leftover) -> str:
    if one.kind == SET_ASIDE:
        return one.paths[0].name
    return f"{one.count} file{'s' * (one.count != 1)}" if one.paths[0].suffix else f"{one.count} folder(s)"


def _row(one: Leftover) -> dict[str, object]:
    return {"kind": one.kind, "study": one.study, "count": one.count, "bytes": one.size, "what": KINDS[one.kind]}
