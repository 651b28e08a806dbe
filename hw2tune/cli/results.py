"""`hw2tune status`, `stop` and `clean`: studies in the results."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from hw2tune.cli import options as opt
from hw2tune.study.names import LEFTOVERS
from hw2tune.terminal.streams import results, stdout


def status(
    ctx: typer.Context,
    name: opt.OneResult = None,
    arm: opt.Arm = None,
    results_dir: opt.ResultsDir = "ray_results",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing until the study ends, or Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="With --watch: how often.")] = 2.0,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """List the studies, or show one with every trial.

    With --watch it is drawn again in place, also before the study is there; on a pipe a line is printed for each
    change, with --format json one JSON object.
    """
    from hw2tune.records.overview import read_overview, read_overviews
    from hw2tune.records.remote.mirror import reading, reading_study
    from hw2tune.records.remote.store import shown
    from hw2tune.terminal import tables
    from hw2tune.terminal.upkeep import follow, look_at

    form, name = opt.chosen_form(form, json=json), opt.with_arm(name, arm)
    if not watch:
        opt.needs(ctx, "--watch", "every")
    if watch:
        if form == "csv":
            raise typer.BadParameter("--watch shows a table, or with --format json a line a change")
        look = partial(look_at, results_dir, name, {})
        follow(look, every=every, one=name is not None, form=form, console=stdout())
    elif name is not None:
        tables.print_status(read_overview(reading_study(results_dir, name)), stdout(), form)
    else:
        tables.print_studies(*read_overviews(reading(results_dir)), stdout(), form, shown(results_dir))


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
    from hw2tune.terminal.upkeep import print_stop

    with progress(quiet=quiet) as tell:
        stopped = stop_study(name, results_dir=results_dir, now=now, timeout=timeout, listeners=[tell])
    print_stop(stopped, stdout())


def clean(
    ctx: typer.Context,
    names: opt.Results = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"This kind alone; again for another: {', '.join(LEFTOVERS)}.",
            autocompletion=opt.one_of(LEFTOVERS),
        ),
    ] = None,
    results_dir: opt.ResultsDir = "ray_results",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what can go, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it without asking.")] = False,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """Show what can go and how much it frees, ask, and remove it.

    Of the named studies, or of all and of this machine. What is needed to continue a study, to report, claim or
    export is not shown (but for `--only weights` and `--only set-aside`), nor is anything of a study that runs.
    Without a terminal to ask on, --yes is needed.
    """
    from hw2tune.api import find_leftovers, remove_leftovers
    from hw2tune.errors import Hw2tuneError
    from hw2tune.terminal.upkeep import print_leftovers, print_removed

    form = opt.chosen_form(form, json=json)
    if dry_run:
        opt.refuse(ctx, "has no effect with --dry-run, which removes nothing; leave one of them out", "yes")
    found = find_leftovers(names or (), results_dir=results_dir, kinds=only or ())
    ask = form == "table" and sys.stdin.isatty() and results().isatty()
    print_leftovers(found, stdout(), form)
    if dry_run or not found.found:
        return
    if not yes and not ask:
        raise Hw2tuneError("nothing was removed: there is no terminal to ask on; --yes removes it without asking")
    if yes or typer.confirm("Remove all of this?"):
        print_removed(remove_leftovers(found))
    else:
        typer.echo("nothing was removed", err=True)
