"""Output of `hw2tune clean` and `hw2tune stop`: leftovers, and the end of a run."""

from __future__ import annotations

import sys

from rich.console import Console

from hw2tune.execution.cleaning import Leftovers
from hw2tune.records.environment import runs
from hw2tune.records.leftovers import KINDS, SET_ASIDE, Leftover
from hw2tune.records.overview import Overview
from hw2tune.records.stopping import Stop
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.terminal.formats import plain_table, print_csv, print_json
from hw2tune.text.numbers import duration
from hw2tune.text.plain import SCHEMA, printable

COLUMNS = ("kind", "study", "count", "bytes", "what")


def print_leftovers(leftovers: Leftovers, console: Console, form: str) -> None:
    """Print what can go, with its kind explained; notes on what was left alone go to stderr."""
    _print_notes(leftovers)
    rows = [
        {
            "kind": one.kind, "study": one.study, "count": one.count, "bytes": one.size, "what": KINDS[one.kind],
            "paths": [str(path) for path in one.paths],
        }
        for one in leftovers.found
    ]  # fmt: skip
    if form == "json":
        print_json({"schema": SCHEMA, "bytes": leftovers.size, "leftovers": rows})
    elif form == "csv":
        print_csv(COLUMNS, rows)
    elif not rows:
        console.print("nothing can go")
    else:
        cells = [(one.study or "this machine", one.kind, _what(one), size(one.size)) for one in leftovers.found]
        cells.append(("", "", "all", size(leftovers.size)))
        console.print(plain_table(("of", "kind", "what", "frees"), cells))
        console.print()
        for kind in dict.fromkeys(one.kind for one in leftovers.found):
            console.print(f"{kind}: {KINDS[kind]}", soft_wrap=not console.is_terminal)


def print_removed(gone: Leftovers) -> None:
    """Print what has gone on stderr: stdout is for what was found."""
    _print_notes(gone)
    print(f"{size(gone.size)} freed", file=sys.stderr)


def _print_notes(leftovers: Leftovers) -> None:
    for note in leftovers.notes:
        print(printable(note), file=sys.stderr)


def size(count: int) -> str:
    """Return bytes in the unit that reads best: 3.1 GB, 421 MB, 12 kB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"


def _what(one: Leftover) -> str:
    if one.kind == SET_ASIDE:
        return one.paths[0].name
    return f"{one.count} file{'s' * (one.count != 1)}" if one.paths[0].suffix else f"{one.count} folder(s)"


def print_stop(stop: Stop, console: Console) -> None:
    """Print what was ended, what is kept, and how it goes on."""
    if stop.ended is not None:
        ended = f"ended in {duration(stop.seconds)}; everything finished is kept"
    elif stop.stale is not None:
        ended = f"nothing runs it; {stop.stale} died without a word, and what it left holds nobody up"
    else:
        ended = "nothing runs it"
    console.print(f"{stop.name}: {ended}", soft_wrap=True)
    if stop.overview is not None:
        console.print(_kept(stop.overview), soft_wrap=True)
    recorded = runs(stop.overview.folder) if stop.overview else []
    command = str(recorded[-1].get("command", "")) if recorded else ""
    typed = f": {command}" if command.startswith("hw2tune ") else ""
    # A complete search has nothing left to do, but a report or a reproduction that was ended has.
    complete = stop.overview is not None and stop.overview.is_complete
    if not complete or (stop.ended is not None and not command.startswith("hw2tune study")):
        console.print(f"the same command continues{typed}", soft_wrap=True)


def _kept(overview: Overview) -> str:
    """`12 of 50 trials finished, #7 and #9 go on from epochs 3 and 1`."""
    whole, unit = overview.study.extent
    text = f"{overview.state}: {overview.done} of {whole} {unit} finished"
    begun = [row for row in overview.rows if row.state == INTERRUPTED]
    if begun and not overview.running:
        numbers = ", ".join(f"#{row.number} from epoch {row.epochs}" for row in begun)
        text += f"; {numbers} go{'es' * (len(begun) == 1)} on"
    return text
