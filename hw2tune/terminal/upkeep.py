"""Output of `hw2tune status --watch`, `stop` and `clean`: studies as they go, the end of a run, leftovers."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hw2tune.errors import Hw2tuneError
from hw2tune.records.environment import runs
from hw2tune.records.leftovers import KINDS, SET_ASIDE, Leftover
from hw2tune.records.overview import Overview, read_overview, read_overviews
from hw2tune.records.remote.mirror import reading, reading_study
from hw2tune.records.trials.states import COMPLETE, INTERRUPTED, RUNNING
from hw2tune.terminal.formats import plain_table, print_csv, print_json
from hw2tune.terminal.plan import value_of
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import status_headings, status_rows, status_title, studies_table
from hw2tune.text.numbers import duration
from hw2tune.text.plain import SCHEMA, printable

if TYPE_CHECKING:
    from hw2tune.execution.cleaning import Leftovers
    from hw2tune.records.stopping import Stop

AROUND = 5  # lines of a terminal that are not for trials: title, headings, what is left out, footer, prompt

Seen = tuple[Sequence[Overview], Mapping[str, str]]  # studies, and errors by name of those that cannot be read
LEFTOVER_COLUMNS = ("kind", "study", "count", "bytes", "what")


def look_at(results_dir: str, name: str | None, known: dict[str, Overview] | None = None) -> Seen:
    """Return the study `name`, or all; a study that is not there, or cannot be read just now, is an error by name.

    `known` holds the last look, by name, and is brought up to date.
    """
    known = {} if known is None else known
    try:
        if name is None:
            overviews, faults = read_overviews(reading(results_dir), known)
        else:
            folder = reading_study(results_dir, name)
            overviews, faults = [read_overview(folder, known.get(folder.name))], {}
    except Hw2tuneError as error:
        overviews, faults = [], {name or results_dir: str(error)}
    known.clear()
    known.update({overview.folder.name: overview for overview in overviews})
    return overviews, faults


def follow(look: Callable[[], Seen], *, every: float, one: bool, form: str, console: Console) -> None:
    """Show a `look` at intervals until the run has ended, `one` study is complete, or Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal and not console.is_dumb_terminal and form == "table":
            with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
                _repeat(look, every, one, lambda *seen: live.update(_picture(one, every, console, *seen), refresh=True))
        else:
            _repeat(look, every, one, partial(_print_changes, form, {}))


def _repeat(
    look: Callable[[], Seen], every: float, one: bool, show: Callable[[Sequence[Overview], Mapping[str, str]], None]
) -> None:
    ran, out = False, _leads_to()
    while True:
        overviews, faults = look()
        show(overviews, faults)
        complete = one and any(overview.state == COMPLETE for overview in overviews)
        runs = any(overview.running for overview in overviews)
        if complete or (ran and not runs and overviews) or _leads_to() != out:
            return
        ran = ran or runs
        time.sleep(every)


def _print_changes(form: str, before: dict[str, str], overviews: Sequence[Overview], faults: Mapping[str, str]) -> None:
    """Print one line per study that differs from its line `before`, which is brought up to date."""
    studies = {overview.folder.name: overview for overview in overviews}
    lines = {name: _line(overview) for name, overview in studies.items()}
    lines |= {name: f"{name}: {fault}" for name, fault in faults.items()}
    for name, line in lines.items():
        if line == before.get(name):
            continue
        if form == "table":
            print(f"{datetime.now():%H:%M:%S} {printable(line)}", file=results())
        elif name in studies:
            print_json(studies[name].as_json(), indent=None)
    results().flush()
    before.clear()
    before.update(lines)


def _line(overview: Overview) -> str:
    """`quickstart: running, 7 of 12 trials finished, best 93.00 % (#6); #8 epoch 2, #9 epoch 1`."""
    whole, unit = overview.extent
    text = f"{overview.folder.name}: {overview.state}, {overview.done} of {whole} {unit} finished"
    if best := overview.leading.best:
        of = f" of {overview.best_arm}" if overview.best_arm else ""
        text += f", best {value_of(best.value, overview.study.objective)} (#{best.number}{of})"
    begun = [f"#{row.number} epoch {row.epochs}" for row in overview.rows if row.state == RUNNING]
    return f"{text}; {', '.join(begun)}" if begun else text


def _picture(
    one: bool, every: float, console: Console, overviews: Sequence[Overview], faults: Mapping[str, str]
) -> RenderableType:
    room = max(1, console.height - AROUND)
    parts: list[RenderableType] = [Text(f"{name}: {fault}") for name, fault in faults.items()]
    if one:
        parts += [part for overview in overviews for part in _study(overview, room)]
    elif overviews:
        parts.append(studies_table(overviews[:room]))
    parts.append(Text(f"{datetime.now():%H:%M:%S}, every {every:g} s; Ctrl-C ends the watching alone", style="dim"))
    return Group(*parts)


def _study(overview: Overview, room: int) -> list[RenderableType]:
    """Return title and trials, the running ones first, then the best, as many as there is room for."""
    rows = status_rows(overview, first=[row for row in overview.rows if row.state == RUNNING])
    table = _line_a_row(plain_table(status_headings(overview), rows[:room]))
    left_out = [Text(f"{len(rows) - room} more", style="dim")] if len(rows) > room else []
    return [Text(status_title(overview), no_wrap=True, overflow="ellipsis"), table, *left_out]


def _line_a_row(table: Table) -> Table:
    """The picture must fit: on a narrow terminal the configuration gives way first, then the state's reason."""
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    for column in table.columns[:-1]:
        column.min_width = min(20, max(map(len, [str(column.header), *map(str, column.cells)])))
    return table


def _leads_to() -> tuple[int, int] | None:
    """Device and inode behind the results: a pipe whose reader has left becomes /dev/null, see `streams`."""
    try:
        stat = os.fstat(results().fileno())
    except (OSError, ValueError):
        return None
    return stat.st_dev, stat.st_ino


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
        print_csv(LEFTOVER_COLUMNS, rows)
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
    whole, unit = overview.extent
    text = f"{overview.state}: {overview.done} of {whole} {unit} finished"
    begun = [row for row in overview.rows if row.state == INTERRUPTED]
    if begun and not overview.running:
        numbers = ", ".join(f"#{row.number} from epoch {row.epochs}" for row in begun)
        text += f"; {numbers} go{'es' * (len(begun) == 1)} on"
    return text
