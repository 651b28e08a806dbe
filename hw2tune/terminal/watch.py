"""`hw2tune status --watch`: studies as they go, drawn again in place; on a pipe a line for each change."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hw2tune.errors import Hw2tuneError
from hw2tune.records.overview import Overview, read_overview, read_overviews
from hw2tune.records.remote.mirror import reading, reading_study
from hw2tune.records.trials.states import COMPLETE, RUNNING
from hw2tune.terminal.formats import plain_table, print_json
from hw2tune.terminal.plan import value_of
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import status_headings, status_rows, status_title, studies_table
from hw2tune.text.plain import printable

AROUND = 5  # lines of a terminal that are not for trials: title, headings, what is left out, footer, prompt

Seen = tuple[Sequence[Overview], Mapping[str, str]]  # studies, and errors by name of those that cannot be read


def look_at(results_dir: str, name: str | None) -> Seen:
    """Return the study `name`, or all; a study that is not there, or cannot be read just now, is an error by name."""
    try:
        if name is None:
            return read_overviews(reading(results_dir))
        return [read_overview(reading_study(results_dir, name))], {}
    except Hw2tuneError as error:
        return [], {name or results_dir: str(error)}


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
    whole, unit = overview.study.extent
    text = f"{overview.folder.name}: {overview.state}, {overview.done} of {whole} {unit} finished"
    if best := overview.best:
        text += f", best {value_of(best.value, overview.study.objective)} (#{best.number})"
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
