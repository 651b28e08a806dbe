"""How --help reads: plain text that fits 80 columns, with examples; the commands in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from hw2tune.cli.examples import EXAMPLES, EXIT_CODES, STREAMS
from hw2tune.terminal.streams import stdout_for_results

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter


class HelpedCommand(TyperCommand):
    """A command whose help ends in its examples, and on whose stdout nothing but its results is printed."""

    def invoke(self, ctx: Context) -> Any:
        """Run the command."""
        with stdout_for_results():
            return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Without the braces that Typer 0.29 puts around what must be there."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments and options, without the types of arguments: they are all text."""
        for title, kind in (("Arguments", TyperArgument), ("Options", TyperOption)):
            records = [param.get_help_record(ctx) for param in self.get_params(ctx) if isinstance(param, kind)]
            if rows := [
                (name.partition(" <")[0] if kind is TyperArgument else name, what)
                for name, what in filter(None, records)
            ]:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples."""
        write_examples(ctx, formatter)


class HelpedGroup(TyperGroup):
    """A group whose commands stand under their panels, each with its first sentence."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, summary_of(command.help)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows, col_spacing=14 - max(map(len, dict(rows))))

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples; of the whole what is printed where, and the exit codes."""
        write_examples(ctx, formatter)
        if ctx.parent is None:
            formatter.write_paragraph()
            formatter.write_text(STREAMS)
            with formatter.section("Exit codes"):
                formatter.write_dl([(f"{code:>3}", text) for code, text in EXIT_CODES.items()])


def summary_of(text: str | None) -> str:
    """A help's first paragraph, on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def write_examples(ctx: Context, formatter: HelpFormatter) -> None:
    """What is typed, and under it what it does."""
    if examples := EXAMPLES.get(command_name(ctx)):
        with formatter.section("Examples"):
            for typed, does in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{typed}\n")
                with formatter.indentation(), formatter.indentation():
                    formatter.write_text(does)


def command_name(ctx: Context) -> str:
    """`data fetch`: a command without the program that it belongs to."""
    names = []
    while ctx.parent is not None:
        names.append(ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(reversed(names))
