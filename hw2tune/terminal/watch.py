"""`hw2tune status --watch`: studies as they go, drawn again in place; on a pipe a line for each change."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hw2tune.errors import Hw2tuneError
from hw2tune.records.overview import Overview, read_overview, read_overviews
from hw2tune.records.remote.mirror import reading, reading_study
from hw2tune.records.trials.rows import best_first
from hw2tune.records.trials.states import COMPLETE, RUNNING
from hw2tune.terminal.plan import value_of
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import status_cells, status_headings, status_title, studies_table, table_of
from hw2tune.text.plain import printable, strict_json

AROUND = 5  # lines of a terminal that are not for trials: title, headings, what is left out, footer, prompt


@dataclass(frozen=True)
class Look:
    """What was there at one look: studies, and why others cannot be read, or are not there yet."""

    overviews: Sequence[Overview]
    faults: Mapping[str, str]

    @property
    def runs(self) -> bool:
        """Return whether something runs."""
        return any(overview.running for overview in self.overviews)

    def lines(self) -> dict[str, str]:
        """One line a study, which changes when something happens in it."""
        return {overview.folder.name: _line(overview) for overview in self.overviews} | {
            name: f"{name}: {fault}" for name, fault in self.faults.items()
        }


def look_at(results_dir: str, name: str | None) -> Look:
    """The study `name`, or all; that it is not there, or cannot be read just now, is seen too."""
    try:
        if name is None:
            return Look(*read_overviews(reading(results_dir)))
        return Look([read_overview(reading_study(results_dir, name))], {})
    except Hw2tuneError as error:
        return Look([], {name or results_dir: str(error)})


def watch(look: Callable[[], Look], *, every: float, one: bool, form: str, console: Console) -> None:
    """Show a `look` at intervals until the run has ended, `one` study is complete, or Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal and not console.is_dumb_terminal and form == "table":
            with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
                _follow(look, every, one, lambda seen: live.update(_picture(seen, one, every, console), refresh=True))
        else:
            _follow(look, every, one, _Changes(form))


def _follow(look: Callable[[], Look], every: float, one: bool, show: Callable[[Look], None]) -> None:
    ran, out = False, _leads_to()
    while True:
        seen = look()
        show(seen)
        complete = one and any(overview.state == COMPLETE for overview in seen.overviews)
        if complete or (ran and not seen.runs and seen.overviews) or _leads_to() != out:
            return
        ran = ran or seen.runs
        time.sleep(every)


class _Changes:
    """Print what differs from the last look, a line a study."""

    def __init__(self, form: str) -> None:
        self.form, self.before = form, dict[str, str]()

    def __call__(self, seen: Look) -> None:
        lines, studies = seen.lines(), {overview.folder.name: overview for overview in seen.overviews}
        for name, line in lines.items():
            if line == self.before.get(name):
                continue
            if self.form == "table":
                print(f"{datetime.now():%H:%M:%S} {printable(line)}", file=results())
            elif name in studies:
                print(strict_json(studies[name].as_json()), file=results())
        results().flush()
        self.before = lines


def _line(overview: Overview) -> str:
    """`quickstart: running, 7 of 12 trials finished, best 93.00 % (#6); #8 epoch 2, #9 epoch 1`."""
    whole, unit = overview.study.extent
    best = next(iter(best_first(overview.rows, overview.study.direction)), None)
    text = f"{overview.folder.name}: {overview.state}, {overview.done} of {whole} {unit} finished"
    if best is not None:
        text += f", best {value_of(best.value, overview.study.objective)} (#{best.number})"
    begun = [f"#{row.number} epoch {row.epochs}" for row in overview.rows if row.state == RUNNING]
    return f"{text}; {', '.join(begun)}" if begun else text


def _picture(seen: Look, one: bool, every: float, console: Console) -> RenderableType:
    room = max(1, console.height - AROUND)
    parts: list[RenderableType] = [Text(f"{name}: {fault}") for name, fault in seen.faults.items()]
    if one:
        parts += [part for overview in seen.overviews for part in _study(overview, room)]
    elif seen.overviews:
        parts.append(studies_table(seen.overviews[:room]))
    parts.append(Text(f"{datetime.now():%H:%M:%S}, every {every:g} s; Ctrl-C ends the watching alone", style="dim"))
    return Group(*parts)


def _study(overview: Overview, room: int) -> list[RenderableType]:
    """Title and trials, those that run first, then the best, as many as there is room for."""
    running = [row for row in overview.rows if row.state == RUNNING]
    ranked = best_first(overview.rows, overview.study.direction)
    shown = {row.number for row in [*running, *ranked]}
    rows = [*running, *ranked, *(row for row in overview.rows if row.number not in shown)]
    table = _line_a_row(table_of(status_headings(overview), status_cells(overview, rows[:room])))
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
