"""Texts of --help: plain text that fits 80 columns, with examples; the commands in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from hw2tune.terminal.streams import stdout_for_results

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter

# Two or more of each command, for its --help: what is typed, and what it does. A new command is one entry here.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "study": (
        ("hw2tune study quickstart --summarize", "12 trials on 5,000 images of MNIST, then the report"),
        ("hw2tune study mnist --trials 50", "search on to 50 trials in all; again after Ctrl-C"),
        ("hw2tune study mine.toml --time-budget 8h --quiet", "a study of your own, over night"),
    ),
    "submit": (
        ("hw2tune submit cifar10 --array 20 --time 1h --trials 200", "a driver, and 20 tasks of an hour each"),
        ("hw2tune submit mine.toml --array 4 --time 4h --gres gpu:1", "tasks with a GPU each"),
    ),
    "check": (
        ("hw2tune check mine.toml", "every fault of a study file at once, and what it would cost"),
        ("hw2tune check cifar10 --budget 6 --concurrency 2", "the same with options, as `study` takes them"),
    ),
    "new": (
        ("hw2tune new mine", "mine.toml and mine_net.py, both commented"),
        ("hw2tune new flowers --images ./flowers", "a study of images in a folder for each class"),
    ),
    "status": (
        ("hw2tune status", "all studies, one line each"),
        ("hw2tune status quickstart --watch", "every trial, drawn again every two seconds until it ends"),
        ("hw2tune status quickstart --format csv > trials.csv", "every trial with raw numbers"),
    ),
    "stop": (
        ("hw2tune stop mnist", "end it in order; the command that it prints goes on"),
        ("hw2tune stop mnist --now", "do not wait for the epochs under way"),
    ),
    "clean": (
        ("hw2tune clean", "what can go of all studies and of this machine; then asks"),
        ("hw2tune clean mnist --only last-checkpoints --yes", "one kind of one study, for a script"),
    ),
    "dashboard": (
        ("hw2tune dashboard --open", "all studies in the browser, also while they run"),
        ("hw2tune dashboard mnist --port 8080", "one study, at an address that stays"),
    ),
    "summarize": (
        ("hw2tune summarize mnist --replicates 3 --open", "train on three seeds, test, open the page"),
        ("hw2tune summarize mnist cifar10", "two studies on one page"),
        ("hw2tune summarize --from-files ./copied/mnist", "redraw from a copied folder; trains nothing"),
    ),
    "reproduce": (
        ("hw2tune reproduce mnist", "the published runs, published numbers beside repeated ones"),
        ("hw2tune reproduce cifar10 --max-epochs 2 --replicates 1", "a short try, in a folder of its own"),
    ),
    "compare": (
        ("hw2tune compare mnist mnist-wide", "two studies of the same images, variant by variant"),
        ("hw2tune compare mnist mnist-wide --json", "the same for a program"),
    ),
    "paper": (
        ("hw2tune paper mnist --to paper/mnist", "\\input{mnist/claims}, and each number as a command"),
        ("hw2tune paper mnist cifar10 --to paper/results", "two studies in one table"),
    ),
    "export": (
        ("hw2tune export mnist --to model.onnx", "the race's winner, its card, and a script that predicts"),
        ("hw2tune export mnist --variant l2 --seed 2 --to l2.pt2", "one replicate, for torch.export.load"),
    ),
    "predict": (
        ("hw2tune predict mnist digit.png", "class and confidence of an image of any size"),
        ("hw2tune predict mnist *.jpg --top 3 --json", "the three likeliest classes of many, for a program"),
    ),
    "rerun": (
        ("hw2tune rerun mnist 7", "whether trial 7 comes out the same to the last digit"),
        ("hw2tune rerun mnist 7 --seed 1", "the same configuration on another seed, beside it"),
    ),
    "join": (
        ("hw2tune join lab1:28341 --token-file lab1-28341", "all that this machine has, until the study ends"),
        ("hw2tune join lab1:28341 --token-file lab1-28341 --cpus 4", "only a part of it"),
    ),
    "doctor": (
        ("hw2tune doctor quickstart", "findings on a study: its search, its stopping, its seeds"),
        ("hw2tune doctor", "what would stand in a study's way; exit code 1 where something does"),
        ("hw2tune doctor --machine --json", "what there is here, for an issue or a script"),
    ),
    "data": (
        ("hw2tune data", "the data sets, and where each was found"),
        ("hw2tune data --data-dir ./data --format csv", "the same with a folder that is looked into first"),
    ),
    "data fetch": (
        ("hw2tune data fetch mnist", "into the cache, verified"),
        ("hw2tune data fetch cifar10 --data-dir ./data", "into a folder of yours"),
    ),
}

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "something that can be mended, said in one line on stderr",
    2: "a command that was not understood",
    3: "every trial of the study failed",
    130: "interrupted: Ctrl-C, a closed terminal or a scheduler's signal; the same command continues",
}
STREAMS = "Results are printed on stdout, progress and errors on stderr."


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
                first = (command.help or "").split("\n\n")[0]
                panels.setdefault(panel, []).append((name, " ".join(first.split())))
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


def write_examples(ctx: Context, formatter: HelpFormatter) -> None:
    """Write each example, and below it what it does."""
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
