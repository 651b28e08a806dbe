"""`docs/cli.md`, the help of every command: `python -m hw2tune.cli.documentation` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from hw2tune.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
TOP = """# The command line

<!-- made by `python -m hw2tune.cli.documentation`; change the code, not this page -->

The help of every command. `hw2tune --install-completion` makes Tab complete commands, options and the names of studies,
data sets, samplers and pruners in bash, zsh, fish and PowerShell.
"""


def page() -> str:
    """Return the whole page."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    parts = [TOP, _help(""), *(f"## `hw2tune {name}`\n\n{_help(name)}" for name, _ in commands(root))]
    return "\n".join(parts)


def commands(group: TyperGroup, above: str = "") -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Yield every command with its whole name (`data fetch`), in the order of --help."""
    for name, command in group.commands.items():
        assert isinstance(command, TyperCommand | TyperGroup)
        yield f"{above}{name}", command
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{above}{name} ")


def _help(name: str) -> str:
    arguments = [*name.split(), "--help"]
    shown = CliRunner().invoke(app, arguments, prog_name="hw2tune", env={"COLUMNS": "80"}, catch_exceptions=False)
    return f"```text\n{shown.stdout}```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
