"""Results on stdout: a study's outcome, a list of studies, the data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from hw2tune.records.overview import UNREADABLE, Overview
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.study.objectives import objective_of
from hw2tune.terminal.plan import trial_name, value_of
from hw2tune.terminal.streams import results
from hw2tune.text.numbers import configuration_line, duration
from hw2tune.text.plain import printable, strict_json

if TYPE_CHECKING:
    from hw2tune.data.load import DatasetStatus
    from hw2tune.report.reproduction.write import ReproductionReport
    from hw2tune.report.write import ReportFiles

LONG = 200  # rows of a table that nobody reads on a screen
PIPE_WIDTH = 160  # nothing is folded where no terminal says how wide it is


class PlainConsole(Console):
    """Console that shows text as text: no control character of a record reaches the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is to be shown; those that control the terminal are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def stdout() -> Console:
    """The console that results go to."""
    terminal = results().isatty()
    width = None if terminal else PIPE_WIDTH
    return PlainConsole(file=results(), highlight=False, markup=False, force_terminal=terminal, width=width)


def print_outcome(overview: Overview, console: Console) -> None:
    """Best trial with the references beside it, where the files are, what to do next."""
    objective, best = overview.study.objective, overview.best
    named = {"best": best} | {name: overview.labelled(name) for name in overview.study.references}
    table = plain_table("", "trial", _heading(objective), "epoch", "train loss", "configuration")
    for name, row in named.items():
        if row is not None:
            loss = _train_loss(overview, row)
            table.add_row(
                name, f"#{row.number}", value_of(row.value, objective), str(row.best_epoch or "-"), loss,
                configuration_line(row.params),
            )  # fmt: skip
    console.print()
    console.print(table)
    states: dict[str, int] = {}
    for row in overview.rows:
        states[row.state] = states.get(row.state, 0) + 1
    console.print(", ".join(f"{count} {state}" for state, count in states.items()))
    console.print(f"files: {overview.folder.root}", soft_wrap=True)
    console.print(f"next:  {_next(overview)}", soft_wrap=True)


def _train_loss(overview: Overview, row: TrialRow) -> str:
    from hw2tune.records.trials.epochs import read_epochs

    epochs = read_epochs(overview.folder.trial(row.number))
    loss = epochs[-1].get("train_loss") if epochs else None
    return f"{loss:.4f}" if isinstance(loss, float) else "-"


def _next(overview: Overview) -> str:
    study = overview.study
    if overview.state == INTERRUPTED:
        return f"the same command continues; hw2tune status {overview.folder.name} (every trial)"
    more = f"--trials {2 * study.trials}" if study.budget is None else f"--budget {2 * study.budget}"
    return f"hw2tune status {overview.folder.name} (every trial); {more} searches on"


def print_status(overview: Overview, console: Console) -> None:
    """One study, every trial, the best first."""
    console.print(status_title(overview), soft_wrap=True)
    headings, cells = status_headings(overview), status_cells(overview, _best_then_others(overview))
    if len(cells) > LONG:
        console.file.write(_plain([headings, *cells]))
    else:
        console.print(table_of(headings, cells))
    console.print(f"files: {overview.folder.root}", soft_wrap=True)


def status_title(overview: Overview) -> str:
    """`quickstart: running, 7 of 12 trials finished (process 4711 on host, since ...)`."""
    whole, unit = overview.study.extent
    by = f" ({overview.running})" if overview.running else ""
    return f"{overview.folder.name}: {overview.state}, {overview.done} of {whole} {unit} finished{by}"


def status_headings(overview: Overview) -> tuple[str, ...]:
    """What stands over each trial's cells."""
    return ("trial", "state", _heading(overview.study.objective), "epoch", "seconds", "configuration")


def status_cells(overview: Overview, rows: Sequence[TrialRow]) -> list[tuple[str, ...]]:
    """These trials, a line each, under `status_headings`."""
    return [
        (
            trial_name(row.number, row.label), row.reason or row.state_text,
            value_of(row.value, overview.study.objective),
            f"{row.best_epoch or '-'} of {row.epochs}", f"{row.seconds:.1f}", configuration_line(row.params),
        )
        for row in rows
    ]  # fmt: skip


def _best_then_others(overview: Overview) -> list[TrialRow]:
    ranked = best_first(overview.rows, overview.study.direction)
    shown = {row.number for row in ranked}
    return [*ranked, *(row for row in overview.rows if row.number not in shown)]


def _plain(rows: Sequence[Sequence[str]]) -> str:
    """Columns under each other and nothing else: rich takes 0.7 ms a row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(line.rstrip() + "\n" for line in lines)


def print_json(what: Overview | Sequence[Overview], faults: Mapping[str, str] | None = None) -> None:
    """A study or a list of them as JSON, nothing else on stdout. `faults` are of studies that cannot be read."""
    if isinstance(what, Overview):
        print(strict_json(what.as_json(), indent=2), file=results())
        return
    damaged = [UNREADABLE | {"name": name, "error": fault} for name, fault in (faults or {}).items()]
    print(strict_json([*(overview.as_json() for overview in what), *damaged], indent=2), file=results())


def print_studies(overviews: Sequence[Overview], faults: Mapping[str, str], console: Console, results: str) -> None:
    """One line a study, and one for each that cannot be read."""
    for name, fault in faults.items():
        console.print(f"{name}: cannot be read: {fault}", soft_wrap=True)
    if not overviews and not faults:
        console.print(f"no studies in {results} yet; `hw2tune study quickstart` makes one", soft_wrap=True)
        return
    if not overviews:
        return
    console.print(studies_table(overviews))


def studies_table(overviews: Sequence[Overview]) -> Table:
    """One line a study."""
    table = plain_table("study", "state", "trials", "best", "objective", "time training")
    for overview in overviews:
        best = overview.best
        table.add_row(
            overview.folder.name, overview.state, _extent(overview),
            value_of(best.value if best else None, overview.study.objective),
            overview.study.objective_spec.label, duration(sum(row.seconds for row in overview.rows)),
        )  # fmt: skip
    return table


def _extent(overview: Overview) -> str:
    """`12/50`; with a budget `120/420 epochs`."""
    whole, unit = overview.study.extent
    return f"{overview.done}/{whole}" + ("" if unit == "trials" else f" {unit}")


def print_facts(facts: Sequence[tuple[str, str]], console: Console) -> None:
    """Two columns: what, and what of it is here."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts:
        grid.add_row(name, text)
    console.print(grid)


def print_datasets(statuses: Sequence[DatasetStatus], console: Console) -> None:
    """One line a data set: where it is, or what is wrong with it."""
    table = plain_table("name", "what", "found")
    for status in statuses:
        table.add_row(status.name, status.title, status.problem or status.source or "no; hw2tune data fetch gets it")
    console.print(table)


def print_reproduction(report: ReproductionReport, console: Console) -> None:
    """Published beside reproduced beside held-out test, with the verdicts."""
    from hw2tune.report.reproduction.write import COLUMNS, cells

    for label, run in report.runs.items():
        table = plain_table(*COLUMNS)
        for _, row in run.rows.iterrows():
            table.add_row(*cells(row))
        console.print(f"\n{report.name} {label}" + (f"  [{run.caveat}]" if run.caveat else ""), markup=False)
        console.print(table)
        console.print(run.sentence)
    for note in dict.fromkeys(run.tolerance_note for run in report.runs.values()):
        console.print(f"\n{note}")
    console.print(f"table: {report.table}\npage:  {report.page}", soft_wrap=True)


def print_report(files: ReportFiles, console: Console) -> None:
    """The claims as sentences, and where the report is."""
    import json

    summary = json.loads(files.json.read_text(encoding="utf-8"))
    for study in summary["studies"]:
        for claim in study["claims"]:
            console.print(f"- {claim['sentence']}")
    console.print(f"report: {files.page}", soft_wrap=True)


def _heading(objective: str) -> str:
    return {"validation_accuracy": "validation"}.get(objective, objective_of(objective).label)


def table_of(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    """Cells under their headings."""
    table = plain_table(*headings)
    for line in cells:
        table.add_row(*line)
    return table


def plain_table(*columns: str) -> Table:
    """A table without lines, its cells folded where they are too long."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
