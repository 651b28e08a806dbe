"""Results on stdout: studies and their trials, findings, reports, data sets, this machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from hw2tune.errors import Hw2tuneError
from hw2tune.records.overview import UNREADABLE, Overview
from hw2tune.records.trials.rows import TrialRow, best_first, trials_csv
from hw2tune.records.trials.states import FAILED_BY_ITSELF, INTERRUPTED
from hw2tune.study.objectives import decimals, objective_of
from hw2tune.terminal.formats import plain_table, print_csv, print_json
from hw2tune.terminal.plan import trial_name, value_of
from hw2tune.terminal.streams import results
from hw2tune.text.numbers import configuration_line, counted, duration, listed
from hw2tune.text.plain import SCHEMA, printable

if TYPE_CHECKING:
    from hw2tune.data.load import DatasetStatus
    from hw2tune.execution.speeds import MachineSpeed
    from hw2tune.report.doctor.findings import Finding
    from hw2tune.report.paper.write import PaperFiles
    from hw2tune.report.reproduction.write import ReproductionReport
    from hw2tune.report.write import ReportFiles

LONG = 200  # rows of a table that nobody reads on a screen
STUDY_COLUMNS = (
    "name", "state", "trials_finished", "trials_planned", "best", "best_trial", "objective", "direction", "seconds",
    "folder", "error", "best_arm", "done", "extent", "unit",
)  # fmt: skip
DATASET_COLUMNS = ("name", "title", "found", "source", "problem")
FINDING_COLUMNS = ("check", "hyperparameter", "finding", "evidence", "remedy")


def print_outcome(overview: Overview, console: Console) -> None:
    """Print the best trial with the references beside it, the place of the files, and what to do next."""
    objective = overview.study.objective
    named = {"best": overview.best} | {name: overview.labelled(name) for name in overview.study.references}
    rows = [
        (
            name, f"#{row.number}", value_of(row.value, objective), str(row.best_epoch or "-"),
            _train_loss(overview, row), configuration_line(row.params),
        )
        for name, row in named.items()
        if row is not None
    ]  # fmt: skip
    console.print()
    if overview.searches:
        console.print(plain_table(status_headings(overview), status_rows(overview)))
    else:
        console.print(plain_table(("", "trial", _heading(objective), "epoch", "train loss", "configuration"), rows))
    states = Counter(row.state for row in overview.every_row)
    console.print(", ".join(f"{count} {state}" for state, count in states.items()))
    for line in _corners(overview):
        console.print(line, soft_wrap=True, markup=False)
    if overview.turn:
        console.print(f"race:  {overview.turn}", soft_wrap=True)
    console.print(f"files: {overview.folder.root}", soft_wrap=True)
    console.print(f"next:  {_next(overview)}", soft_wrap=True)


def _corners(overview: Overview) -> Iterator[str]:
    """Yield a line a corner of the space, or of a search's, that fails."""
    if not any(row.state in FAILED_BY_ITSELF for row in overview.every_row):
        return
    from hw2tune.report.doctor.zones import corner_text, failing_corners

    for search in overview.searches or (overview,):
        place = f"{search.folder.root.name}: " if overview.searches else ""
        yield from (place + corner_text(corner) for corner in failing_corners(search))


def _train_loss(overview: Overview, row: TrialRow) -> str:
    """Return the loss on training images in the trial's best epoch."""
    from hw2tune.records.trials.epochs import read_epochs

    epochs = read_epochs(overview.folder.trial(row.number))
    loss = next((epoch.get("train_loss") for epoch in epochs if epoch["epoch"] == row.best_epoch), None)
    return decimals(loss) if isinstance(loss, float) else "-"


def _next(overview: Overview) -> str:
    study = overview.study
    if overview.state == INTERRUPTED:
        return f"the same command continues; hw2tune status {overview.folder.name} (every trial)"
    more = f"--trials {2 * study.trials}" if study.budget is None else f"--budget {2 * study.budget}"
    twice = [one.study.model_copy(update={"trials": 2 * one.study.trials}) for one in overview.searches or (overview,)]
    exhausted = all(one.trials_possible <= one.trials // 2 for one in twice)
    way = "every configuration of the space is trained" if exhausted else f"{more} searches on"
    return f"hw2tune status {overview.folder.name} (every trial); {way}"


def print_status(overview: Overview, console: Console, form: str = "table") -> None:
    """Print one study with every trial, the best first; `json` and `csv` have raw numbers."""
    if form == "json":
        print_json(overview.as_json())
        return
    if form == "csv" and overview.searches:
        names = ", ".join(search.folder.root.name for search in overview.searches)
        raise Hw2tuneError(f"{overview.folder.name}: has a table of trials for each arm; add --arm and one of {names}")
    if form == "csv":
        results().write(printable(trials_csv(overview.rows, list(overview.study.space))))
        return
    console.print(status_title(overview), soft_wrap=True)
    headings, rows = status_headings(overview), status_rows(overview)
    if len(rows) > LONG:
        console.file.write(_plain([headings, *rows]))
    else:
        console.print(plain_table(headings, rows))
    if len(machines := overview.machines) > 1:
        at = (f"{machine} (trial{'s' * (len(numbers) > 1)} {listed(numbers)})" for machine, numbers in machines.items())
        console.print(f"machines: {', '.join(at)}", soft_wrap=True)
    console.print(f"files: {overview.folder.root}", soft_wrap=True)


def status_title(overview: Overview) -> str:
    """`quickstart: running, 7 of 12 trials finished (process 4711 on host, since ...)`."""
    whole, unit = overview.extent
    by = f" ({overview.running})" if overview.running else ""
    return f"{overview.folder.name}: {overview.state}, {overview.done} of {whole} {unit} finished{by}" + _awaited(
        overview
    )


def _awaited(overview: Overview) -> str:
    """Return for whom all decisions wait in a study that runs in virtual order."""
    if not (overview.running and overview.study.slots):
        return ""
    from hw2tune.search.order import awaited

    found = awaited(overview.study.slots, overview.trials)
    return f"; decisions wait for epoch {found[1]} of trial {found[0]}" if found else ""


def status_headings(overview: Overview) -> tuple[str, ...]:
    """Return the headings over `status_rows`."""
    objective = _heading(overview.study.objective)
    if overview.searches:
        return ("arm", "state", overview.extent[1], objective, "trial", "configuration")
    return ("trial", "state", objective, "epoch", "seconds", "configuration")


def status_rows(overview: Overview, first: Sequence[TrialRow] = ()) -> list[tuple[str, ...]]:
    """Return the cells of every trial: those of `first`, then the best, then the others; with arms of every search."""
    if overview.searches:
        return list(map(_search_cells, overview.searches))
    order = {row.number: row for row in (*first, *best_first(overview.rows, overview.study.direction), *overview.rows)}
    return [
        (
            trial_name(row.number, row.label), row.reason or row.state_text,
            value_of(row.value, overview.study.objective),
            f"{row.best_epoch or '-'} of {row.epochs}", f"{row.seconds:.1f}" if row.seconds else "-",
            configuration_line(row.params),
        )
        for row in order.values()
    ]  # fmt: skip


def _search_cells(search: Overview) -> tuple[str, ...]:
    best, state = search.best, search.state if search.running or search.rows else "not begun"
    cells = (search.folder.root.name, state, _extent(search))
    if best is None:
        return *cells, "-", "-", "-"
    value = value_of(best.value, search.study.objective)
    return *cells, value, trial_name(best.number, best.label), configuration_line(best.params)


def _plain(rows: Sequence[Sequence[str]]) -> str:
    """Return columns under each other and nothing else: rich takes 0.7 ms a row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(line.rstrip() + "\n" for line in lines)


def print_studies(
    overviews: Sequence[Overview], faults: Mapping[str, str], console: Console, form: str, place: str
) -> None:
    """Print one line per study of the results in `place`; `faults` are of studies that cannot be read."""
    unreadable = [UNREADABLE | {"name": name, "error": fault} for name, fault in faults.items()]
    if form == "json":
        print_json([*(overview.as_json() for overview in overviews), *unreadable])
        return
    if form == "csv":
        print_csv(STUDY_COLUMNS, [*map(_csv_row, overviews), *unreadable])
        return
    for name, fault in faults.items():
        console.print(f"{name}: cannot be read: {fault}", soft_wrap=True)
    if overviews:
        console.print(studies_table(overviews))
    elif not faults:
        console.print(f"no studies in {place} yet; `hw2tune study quickstart` makes one", soft_wrap=True)


def _csv_row(overview: Overview) -> dict[str, Any]:
    """An accuracy is a fraction, a loss in nats per image, and `seconds` were spent training."""
    best, study, counts = overview.leading.best, overview.study, overview.as_json()
    return {
        "name": overview.folder.name, "state": overview.state, "trials_finished": counts["trials_finished"],
        "trials_planned": counts["trials_planned"], "best": _best_value(overview), "best_trial": best and best.number,
        "objective": study.objective, "direction": study.direction,
        "seconds": round(sum(row.seconds for row in overview.every_row), 3), "folder": str(overview.folder.root),
        "best_arm": overview.best_arm,
        "done": counts["done"], "extent": counts["extent"], "unit": counts["unit"],
    }  # fmt: skip


def studies_table(overviews: Sequence[Overview]) -> Table:
    """Return a table with one line per study."""
    return plain_table(
        ("study", "state", "trials", "best", "objective", "time training"),
        [
            (
                overview.folder.name, overview.state, _extent(overview),
                value_of(_best_value(overview), overview.study.objective),
                overview.study.objective_spec.label, duration(sum(row.seconds for row in overview.every_row)),
            )
            for overview in overviews
        ],
    )  # fmt: skip


def _best_value(overview: Overview) -> float | None:
    return next((row.value for row in best_first(overview.every_row, overview.study.direction)), None)


def _extent(overview: Overview) -> str:
    """`12/50`; with a budget `120/420 epochs`."""
    whole, unit = overview.extent
    return f"{overview.done}/{whole}" + ("" if unit == "trials" else f" {unit}")


def print_findings(name: str, findings: Sequence[Finding], console: Console, form: str) -> None:
    """Print each finding with its evidence and its remedy; one line for a study without any."""
    rows = [asdict(one) for one in findings]
    if form == "json":
        print_json({"schema": SCHEMA, "study": name, "findings": rows})
    elif form == "csv":
        print_csv(FINDING_COLUMNS, rows)
    else:
        console.print(f"{name}: {counted(len(findings), 'finding')}" if findings else f"{name}: nothing found")
        for one in findings:
            console.print(f"\n- {one.finding}\n  {one.evidence}\n  {one.remedy}", soft_wrap=True)


def print_machine(
    facts: Sequence[tuple[str, str]], measure: Callable[[], Sequence[MachineSpeed]], console: Console, form: str
) -> None:
    """Print facts about this machine by name (a name that is not repeated goes on), then its speeds once measured."""
    if form == "table":
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in facts:
            grid.add_row(name, text)
        console.print(grid)
    try:
        speeds, problem = measure(), ""
    except Hw2tuneError as error:  # the facts are what an issue needs
        speeds, problem = [], f"not measured: {error}"
    rows = [
        [one.model, one.device, str(one.slots), *(f"{value:.0f}" for value in one.images_per_second.values())]
        for one in speeds
    ]
    if form == "table":
        if problem:
            console.print(f"speed {problem}", soft_wrap=True)
            return
        columns = ("network", "device", "at once", *speeds[0].images_per_second)
        console.print("", plain_table(columns, rows), sep="\n")
        console.print(f"images/s of each training, {speeds[0].source}; `hw2tune check` estimates by it", soft_wrap=True)
        return
    named: dict[str, list[Any]] = {}
    for name, text in facts:
        named.setdefault(name or next(reversed(named)), []).append(text)
    if form == "json":
        records = [asdict(one) | {"images_per_second": one.images_per_second} for one in speeds]
        print_json(named | {"speed": [problem] if problem else records})
        return
    named["speed"] = [problem] if problem else [", ".join(row) for row in rows]
    print_csv(("name", "value"), ({"name": name, "value": one} for name, all_ in named.items() for one in all_))


def print_datasets(statuses: Sequence[DatasetStatus], console: Console, form: str) -> None:
    """Print one line per data set: its place, or what is wrong with it."""
    if form == "json":
        print_json([asdict(status) for status in statuses])
    elif form == "csv":
        print_csv(DATASET_COLUMNS, map(asdict, statuses))
    else:
        otherwise = "no; hw2tune data fetch gets it"
        rows = [(status.name, status.title, status.problem or status.source or otherwise) for status in statuses]
        console.print(plain_table(("name", "what", "found"), rows))


def print_reproduction(report: ReproductionReport, console: Console) -> None:
    """Print published, repeated and held-out test values side by side, with the verdicts."""
    from hw2tune.report.reproduction.write import COLUMNS, cells

    for label, run in report.runs.items():
        console.print(f"\n{report.name} {label}" + (f"  [{run.caveat}]" if run.caveat else ""), markup=False)
        console.print(plain_table(COLUMNS, (cells(row) for _, row in run.rows.iterrows())))
        console.print(run.sentence)
    for note in dict.fromkeys(run.tolerance_note for run in report.runs.values()):
        console.print(f"\n{note}")
    console.print(f"table: {report.table}\npage:  {report.page}", soft_wrap=True)


def print_report(files: ReportFiles, console: Console) -> None:
    """Print the claims as sentences, what came after results, and the place of the report.

    Of several studies, each has its name above its claims.
    """
    studies = json.loads(files.json.read_text(encoding="utf-8"))["studies"]
    for study in studies:
        if len(studies) > 1:
            console.print(f"{study['name']}:", markup=False)
        for text in [*(claim["sentence"] for claim in study["claims"]), *study["history"]]:
            console.print(f"- {text}")
    console.print(f"report: {files.page}", soft_wrap=True)


def print_paper(files: PaperFiles, console: Console) -> None:
    """Print the files for a paper, and what is missing in them."""
    lines = [
        f"texts:   {', '.join(path.name for path in files.texts)}",
        f"figures: {len(files.figures)} in figures/",
        *(f"note:    {note}" for note in files.notes),
        f"paper:   {files.folder}; `pdflatex example` there shows all of it",
    ]
    console.print("\n".join(lines), soft_wrap=True)


def _heading(objective: str) -> str:
    return {"validation_accuracy": "validation"}.get(objective, objective_of(objective).label)
