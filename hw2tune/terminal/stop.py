"""What `hw2tune stop` says."""

from __future__ import annotations

from rich.console import Console

from hw2tune.records.environment import runs
from hw2tune.records.overview import Overview
from hw2tune.records.stopping import Stop
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.text.cells import duration


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
    """Whether something is left to do: trials, or what another command than the search was at."""
    if stop.overview is None or not stop.overview.is_complete:
        return True
    return stop.ended is not None and not _command(stop).startswith(": hw2tune study")


def _command(stop: Stop) -> str:
    """The command of the last run, where it was one that can be typed."""
    recorded = runs(stop.overview.folder) if stop.overview else []
    command = str(recorded[-1].get("command", "")) if recorded else ""
    return f": {command}" if command.startswith("hw2tune ") else ""
