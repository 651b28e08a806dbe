"""--help of each command, and docs/cli.md: every command explained, with examples that its own parser takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperArgument, TyperGroup

from hw2tune.cli import COMMANDS, app
from hw2tune.cli.documentation import PAGE, commands, page
from hw2tune.cli.help import EXAMPLES, EXIT_CODES, command_name
from hw2tune.errors import Hw2tuneError, InterruptedByUserError, NoTrialFinishedError
from tests.command_line import hw2tune

ROOT = typer.main.get_command(app)
EVERY = dict(commands(ROOT))


def shown(*arguments, columns=80):
    return hw2tune(*arguments, "--help", cwd=Path(), COLUMNS=str(columns)).stdout


def test_every_command_has_a_help_text_and_two_examples_of_its_own():
    functions = {command.__name__ for group in COMMANDS.values() for command in group}
    assert functions | {"data", "data fetch"} <= EVERY.keys()
    for name, command in EVERY.items():
        assert command.help and command.help.strip()[0].isupper(), name
        examples = EXAMPLES.get(name, ())
        assert len(examples) >= 2, f"`{name}` has no two examples in hw2tune/cli/help.py"
        assert len(set(examples)) == len(examples)
        for typed, does in examples:
            assert typed.startswith(f"hw2tune {name}") and len(typed) <= 76 and does, typed
    assert EXAMPLES.keys() == EVERY.keys()


def test_every_option_has_a_help_text_that_fits_three_lines():
    for name, command in EVERY.items():
        for param in command.params:
            assert param.help and len(param.help) <= 135, f"{name} {param.name}"


@pytest.mark.parametrize("typed", [typed for examples in EXAMPLES.values() for typed, _ in examples])
def test_each_example_parses(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "copied/mnist", "flowers"):
        (tmp_path / folder).mkdir(parents=True)
    program, *arguments = shlex.split(typed.partition(" > ")[0])
    assert program == "hw2tune"
    context, command = ROOT.make_context("hw2tune", arguments), ROOT
    while isinstance(command, TyperGroup) and (left := [*context._protected_args, *context.args]):
        command = command.commands[left[0]]
        context = command.make_context(left[0], left[1:], parent=context)
    assert context.args == [] and command_name(context) in typed


def test_the_help_of_each_command_fits_80_columns_and_cuts_nothing_off():
    for arguments in ((), ("study",), ("data", "fetch")):
        text = shown(*arguments)
        assert max(map(len, text.splitlines())) <= 80 and "…" not in text and "..." not in text.split("\n\n", 1)[1]
        assert text.endswith("\n")
    assert "Examples:\n  hw2tune data fetch mnist\n      into the cache, verified\n" in text


def test_the_exit_codes_are_those_of_the_errors_and_said_once():
    assert {error.exit_code for error in (Hw2tuneError, NoTrialFinishedError, InterruptedByUserError)} <= set(
        EXIT_CODES
    )
    text = shown()
    assert re.findall(r"^ +(\d+)  \w", text, re.MULTILINE) == [str(code) for code in EXIT_CODES]
    assert "Exit codes" not in shown("status")


def test_the_commands_stand_in_their_groups():
    text = shown(columns=120)
    places = [text.index(f"\n{panel}:\n") for panel in COMMANDS]
    assert places == sorted(places)
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in EVERY if " " not in name)


def test_the_page_in_docs_is_the_one_that_the_commands_make():
    there = PAGE.read_text(encoding="utf-8")
    assert there == page(), f"`uv run python -m hw2tune.cli.documentation` writes {PAGE.name} anew"


def test_the_page_has_a_section_for_every_command_and_a_line_for_every_option():
    text = page()
    for name, command in EVERY.items():
        section = text.partition(f"## `hw2tune {name}`\n")[2].partition("\n## ")[0]
        assert section.startswith(f"\n```text\nUsage: hw2tune {name} ") and section.rstrip().endswith("```")
        for param in command.params:
            shown = param.metavar if isinstance(param, TyperArgument) else param.opts[-1]
            assert re.search(rf"^  .*{shown}\b", section, re.MULTILINE), f"{name} {shown}"
