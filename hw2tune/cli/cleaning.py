"""`hw2tune clean`: frees the space of what nothing reads any more."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hw2tune.cli import completion
from hw2tune.cli import options as opt


def clean(
    names: opt.Results = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"This kind alone; again for another: {', '.join(completion.LEFTOVERS)}.",
            autocompletion=completion.one_of(completion.LEFTOVERS),
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
    from hw2tune.terminal.leftovers import print_leftovers, print_removed
    from hw2tune.terminal.streams import results
    from hw2tune.terminal.tables import stdout

    form = opt.chosen_form(form, json=json)
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
