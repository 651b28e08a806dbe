"""`hw2tune stop`: ends a running study from another terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import options as opt


def stop(
    name: opt.ResultsName,
    results_dir: opt.ResultsDir = "ray_results",
    now: Annotated[bool, typer.Option("--now", help="Ask twice: the epochs under way are given up.")] = False,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Give up waiting after this long.")] = 120.0,
    quiet: opt.Quiet = False,
) -> None:
    """End a running study in order, as Ctrl-C in its own terminal would.

    A report or a reproduction that is being trained ends in the same way. Waits until the study is free, and says how
    it goes on. Where nothing runs it says so, with exit code 0: that is what was asked for.
    """
    from hw2tune.api import stop_study
    from hw2tune.terminal.progress import progress
    from hw2tune.terminal.stop import print_stop
    from hw2tune.terminal.tables import stdout

    with progress(quiet=quiet) as tell:
        stopped = stop_study(name, results_dir=results_dir, now=now, timeout=timeout, listeners=[tell])
    print_stop(stopped, stdout())
