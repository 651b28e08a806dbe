"""Output of `hw2tune clean` and `hw2tune stop`: leftovers, and the end of a run."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from hw2tune.execution.cleaning import Leftovers
from hw2tune.records.environment import runs
from hw2tune.records.leftovers import KINDS, SET_ASIDE, Leftover
from hw2tune.records.overview import Overview
from hw2tune.records.stopping import Stop
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.terminal.formats import print_csv
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import table_of
from hw2tune.text.numbers import duration
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


def print_stop(stop: Stop, console: Console) -> None:
    """What was ended, what is kept, and how it goes on."""
    console.print(f"{stop.name}: {_ended(stop)}", soft_wrap=True)
    if stop.overview is not None:
        console.print(_kept(stop.overview), soft_wrap=True)
    if stop.overview is None or _goes_on(stop):
        console.print(f"the same command continues{_command(stop)}", soft_wrap=True)


def _ended(stop: Stop) -> str:
    if stop.ended is not None:
        return f"ended in {duration(stop.seconds)}; everything finished is kept"
    if stop.stale is not None:
        return f"nothing runs it; {stop.stale} died without a word, and what it left holds nobody up"
    return "nothing runs it"


def _kept(overview: Overview) -> str:
    """`12 of 50 trials finished, #7 and #9 go on from epochs 3 and 1`."""
    whole, unit = overview.study.extent
    text = f"{overview.state}: {overview.done} of {whole} {unit} finished"
    begun = [row for row in overview.rows if row.state == INTERRUPTED]
    if begun and not overview.running:
        numbers = ", ".join(f"#{row.number} from epoch {row.epochs}" for row in begun)
        text += f"; {numbers} go{'es' * (len(begun) == 1)} on"
    return text


def _goes_on(stop: Stop) -> bool:
    """Return whether something is left to do: trials, or what another command than the search was at."""
    if stop.overview is None or not stop.overview.is_complete:
        return True
    return stop.ended is not None and not _command(stop).startswith(": hw2tune study")


def _command(stop: Stop) -> str:
    """The command of the last run, where it was one that can be typed."""
    recorded = runs(stop.overview.folder) if stop.overview else []
    command = str(recorded[-1].get("command", "")) if recorded else ""
    return f": {command}" if command.startswith("hw2tune ") else ""
