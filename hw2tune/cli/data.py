"""`hw2tune data`: the data sets that there are."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import completion
from hw2tune.cli import options as opt
from hw2tune.cli.help import HelpedCommand, HelpedGroup
from hw2tune.terminal.streams import results

data_app = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, cls=HelpedGroup, help="List the data sets, or fetch one."
)


@data_app.callback()
def data(
    ctx: typer.Context,
    data_dir: opt.DataDir = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all that was found, and compare decoded images with their files.")
    ] = False,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """List the data sets and where each was found, or fetch one."""
    from hw2tune.data.load import list_datasets, verify_datasets
    from hw2tune.terminal.formats import print_datasets_as
    from hw2tune.terminal.tables import print_datasets, stdout

    form = opt.chosen_form(form, json=json)
    if ctx.invoked_subcommand is None:
        statuses = (verify_datasets if verify else list_datasets)(data_dir=data_dir)
        print_datasets(statuses, stdout()) if form == "table" else print_datasets_as(statuses, form)
        if verify and any(status.problem for status in statuses):
            raise typer.Exit(1)


@data_app.command("fetch", cls=HelpedCommand)
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A data set, mnist for example.", autocompletion=completion.data_sets)
    ],
    data_dir: opt.NewDataDir = None,
) -> None:
    """Fetch a data set, or verify the copy that is there."""
    from hw2tune.data.load import fetch_dataset

    typer.echo(f"{name}: {fetch_dataset(name, data_dir=data_dir)}", file=results())
