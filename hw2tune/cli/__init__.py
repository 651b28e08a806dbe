"""The commands. Each is one function that calls one of `hw2tune.api` and prints.

What takes time to import is imported inside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hw2tune import __version__
from hw2tune.cli.help import HelpedCommand, HelpedGroup
from hw2tune.cli.preparing import check, data_app, doctor, new
from hw2tune.cli.reports import compare, export, paper, predict, reproduce, rerun, summarize
from hw2tune.cli.results import clean, status, stop
from hw2tune.cli.running import dashboard, join, study
from hw2tune.cli.submitting import STUDYS_OPTIONS, submit

COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {  # as --help groups them
    "Studies": (study, submit, check, new, status, stop, clean, dashboard),
    "Reports": (summarize, reproduce, compare, paper),
    "Models": (export, predict, rerun),
    "Machine": (doctor, join),
}

SETTINGS = {submit: STUDYS_OPTIONS}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut words off on 80 columns
    cls=HelpedGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tune small vision networks, then test the gain on fresh seeds.",
)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel, cls=HelpedCommand, context_settings=SETTINGS.get(command))(command)
app.add_typer(data_app, name="data", rich_help_panel="Machine")


def _version(value: bool) -> None:
    if value:
        from hw2tune.records.environment import version_text

        typer.echo(version_text(__version__))
        raise typer.Exit


@app.callback()
def hw2tune(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and commit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; before or behind a command.")
    ] = False,
) -> None:
    """Declared for its options; `--debug` is taken out by `console.main`, wherever it stands."""
