"""`docs/cli.md`, made from the commands: `python -m hw2tune.cli.documentation` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from hw2tune.cli import app
from hw2tune.cli.examples import EXAMPLES, EXIT_CODES, STREAMS

PAGE = "cli.md"
EVERYWHERE = ("help", "install_completion", "show_completion")  # not in each table

Command = TyperCommand | TyperGroup


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return "\n".join([*_top(root), *(line for name, one in commands(root) for line in _section(name, one))])


def commands(group: TyperGroup, above: str = "") -> Iterator[tuple[str, Command]]:
    """Every command by its whole name (`data fetch`), in the order of --help."""
    for name, command in group.commands.items():
        assert isinstance(command, Command)
        yield f"{above}{name}", command
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{above}{name} ")


def _top(root: TyperGroup) -> Iterator[str]:
    yield from (
        "# The command line",
        "",
        "<!-- made by `python -m hw2tune.cli.documentation`; change the code, not this page -->",
        "",
        "<!-- every block not run: tests/test_help.py holds that each example parses -->",
        "",
        f"{STREAMS} `hw2tune COMMAND --help` shows what stands here; `hw2tune --install-completion` makes Tab complete "
        "commands, options and the names of studies, data sets, samplers and pruners in bash, zsh, fish and "
        "PowerShell.",
        "",
        "| exit code | means |",
        "|---|---|",
        *(f"| {code} | {text} |" for code, text in EXIT_CODES.items()),
        "",
        *_options(root, "hw2tune"),
    )


def _section(name: str, command: Command) -> Iterator[str]:
    yield from (f"## `hw2tune {name}`", "", *_paragraphs(command.help or ""), "```console")
    for typed, does in EXAMPLES.get(name, ()):
        yield from (f"# {does}", f"$ {typed}")
    yield from ("```", "", *_options(command, name))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield from (_cell(" ".join(paragraph.split())), "")


def _options(command: Command, name: str) -> Iterator[str]:
    context = typer.Context(command, info_name=name)
    shown = [param for param in command.get_params(context) if param.name not in EVERYWHERE]
    rows = [row for kind in (TyperArgument, TyperOption) for p in shown if isinstance(p, kind) for row in [_row(p)]]
    if rows:
        yield from ("| | | default |", "|---|---|---|", *rows, "")


def _row(param: TyperArgument | TyperOption) -> str:
    record = param.get_help_record(typer.Context(TyperCommand("x")))
    assert record is not None
    name = record[0].partition(" <")[0] if isinstance(param, TyperArgument) else record[0]
    default = "must be there" if param.required else _default(param)
    return f"| `{name.replace('|', chr(92) + '|')}` | {_cell(param.help or '')} | {default} |"


def _default(param: TyperArgument | TyperOption) -> str:
    default = param.default
    return "" if default in (None, False, "", ()) else f"`{default}`"


def _cell(text: str) -> str:
    """Options as code, and no end of a table's cell."""
    words = (f"`{word}`" if word.startswith("--") else word for word in text.replace("|", r"\|").split(" "))
    return " ".join(words).replace(",` ", "`, ").replace(";` ", "`; ").replace(".` ", "`. ")


def write(folder: Path) -> None:
    """Write the page into the documentation's folder."""
    (folder / PAGE).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs")
