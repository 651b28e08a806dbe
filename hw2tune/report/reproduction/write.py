"""The report of a reproduction: published and reproduced numbers and the held-out test, with a verdict for every row.

ray_results/reproduce-<dataset>/report/
    index.html          self-contained: verdicts, curves, every printed number, the machines
    reproduction.csv    every printed number
    totals.csv          their means over the printed epochs, the basis of the verdicts
    reproduction.md     the same for a pull request
    figures/reproduction-loss|accuracy.png|pdf

No file names the day or the place of writing: the same folder gives the same report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.environment import runs as environment_runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import Replicate, ReplicatesFolder, read_replicates
from hw2tune.report.figures.curves import HELD_OUT, VALIDATION, Quantity, draw_curves
from hw2tune.report.figures.drawing import CannotDrawError
from hw2tune.report.figures.labels import LOSSES
from hw2tune.report.figures.style import pixels, save, style
from hw2tune.report.outputs import PAGE, default_target, replacing
from hw2tune.report.page.blocks import Absent, Block, Facts, Figure, Prose, Row, Section, Table, embedded, render_page
from hw2tune.report.page.sections import machine_blocks
from hw2tune.report.reproduction.tables import HELD_OUT_FIELDS, Reproduction, reproduce
from hw2tune.report.sound import sound_replicate, sound_run
from hw2tune.report.study_data import StudyData
from hw2tune.report.summary import escape
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.published import PROTOCOLS, RUNS, published_epochs
from hw2tune.text.numbers import configuration_words, percent, sentence
from hw2tune.text.plain import markdown_table

TOTALS_FILE, MARKDOWN_FILE = "totals.csv", "reproduction.md"


@dataclass(frozen=True, kw_only=True)
class ReproductionReport:
    """The files of a report, and the comparisons by run (`baseline`, `l2`)."""

    name: str
    label: str  # of the data of the repetition
    runs: dict[str, Reproduction]
    page: Path
    table: Path
    totals: Path
    markdown: Path
    figures: list[Path]  # PNG and PDF


def write_reproduction(folder: StudyFolder, target: Path | None = None) -> ReproductionReport:
    """Compare the runs in a `reproduce-<dataset>` folder with the published ones; write page, tables and figures.

    Raises PathError or NotWritableError; an earlier report is then unchanged.
    """
    refuse_links_out(folder.root)
    data = _read(folder)
    name, label = data.overview.study.dataset, data.images["label"]
    evaluated = [replicate.last for replicate in data.replicates if replicate.last]
    overlaps = any(last.overlaps_training for last in evaluated) if evaluated else None
    runs = {
        run: reproduce(published_epochs(name, run), [one.epochs for one in data.of(run)], overlaps_training=overlaps)
        for run in RUNS
    }
    target = target or default_target([folder])
    with replacing(target) as scratch:
        with style():
            drawn = [_figure(scratch, data, quantity, runs[RUNS[0]].caveat) for quantity in get_args(Quantity)]
        page = reproduction_page(name, label, runs, drawn, data.replicates, data.environment)
        write_atomically(scratch / TABLE_FILE, _csv({run: one.rows for run, one in runs.items()}))
        write_atomically(scratch / TOTALS_FILE, _csv({run: one.totals for run, one in runs.items()}))
        write_atomically(scratch / MARKDOWN_FILE, _markdown(name, label, runs))
        write_atomically(scratch / PAGE, page)
    names = [figure.name for figure in drawn if isinstance(figure, Figure)]
    return ReproductionReport(
        name=name,
        label=label,
        runs=runs,
        page=target / PAGE,
        table=target / TABLE_FILE,
        totals=target / TOTALS_FILE,
        markdown=target / MARKDOWN_FILE,
        figures=[target / "figures" / f"{name}.{form}" for name in names for form in ("png", "pdf")],
    )


def _read(folder: StudyFolder) -> StudyData:
    """Return the repetitions as data of the shipped study with the published configurations."""
    dataset = folder.name.removeprefix("reproduce-").split(".")[0]
    study = parse_study(*find_study(PROTOCOLS[dataset].study))
    environment = [entry for run in environment_runs(folder) if (entry := sound_run(run))]
    noted = environment[-1].get("data", {}) if environment else {}
    record = DatasetRecord(
        name=dataset, label=str(noted.get("name", PUBLISHED_ON[dataset])), classes=[], image_shape=[], mean=[], std=[],
        checksum=noted.get("checksum", ""), split_checksum=noted.get("split_checksum", ""), sizes={}, source="",
    )  # fmt: skip
    return StudyData(
        overview=Overview(folder=folder, study=study, rows=[], running=None),
        replicates=[one for read in read_replicates(ReplicatesFolder.of(folder)) if (one := sound_replicate(read))],
        dataset=record,
        gallery=None,
        pixel_counts=None,
        race=None,
        environment=environment,
    )


def _csv(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the tables of the runs as one, with the run in the first column."""
    rows = pd.concat([table.assign(run=run) for run, table in tables.items()])
    columns = ["run", *(column for column in rows.columns if column != "run")]
    return rows[columns].to_csv(index=False, lineterminator="\n")


def _figure(target: Path, data: StudyData, quantity: Quantity, caveat: str) -> Figure | Absent:
    name, title = f"reproduction-{quantity}", f"{quantity.capitalize()}, reproduced and published"
    try:
        drawing = draw_curves(data, quantity, HELD_OUT if caveat else VALIDATION)
    except CannotDrawError as error:
        return Absent(name=name, title=title, reason=str(error))
    png, pdf = save(drawing.figure, target / "figures", name)
    width, height = pixels(png)
    return Figure(
        name=name,
        title=title,
        caption=drawing.caption,
        alt=drawing.alt,
        image=embedded(png),
        width=width,
        height=height,
        file=f"figures/{pdf.name}",
        caveat=f"“test”: {caveat}" if caveat else "",
    )


def _markdown(name: str, label: str, runs: Mapping[str, Reproduction]) -> str:
    totals = [[run, *number_cells(row)] for run, one in runs.items() for _, row in one.totals.iterrows()]
    parts = [
        f"# {escape(reproduction_title(name, label))}",
        *map(escape, other_pixels(name, label)),
        "## Means over the printed epochs",
        *dict.fromkeys(f"**“test”: {one.caveat}**" for one in runs.values() if one.caveat),
        markdown_table(TOTAL_COLUMNS, totals),
    ]
    for run, one in runs.items():
        parts += [f"## {run}", one.sentence, one.tolerance_note, *([f"**{one.caveat}**"] if one.caveat else [])]
        parts.append(markdown_table(COLUMNS, [cells(row) for _, row in one.rows.iterrows()]))
    return "\n\n".join(parts) + "\n"


COLUMNS = ("epoch", "quantity", "published", "reproduced", "min to max", "held-out test", "tolerance", "verdict")
TOTAL_COLUMNS = ("run", "mean of", *COLUMNS[2:])
TABLE_FILE = "reproduction.csv"  # beside the page
PUBLISHED_ON = {"mnist": "MNIST", "cifar10": "CIFAR-10"}  # the data sets as the published runs call them


def cells(row: pd.Series) -> list[str]:
    """Return a row of `Reproduction.rows` as text, under COLUMNS: losses with four digits, accuracies in percent."""
    cells = number_cells(row)
    return [str(row["epoch"]), *cells[:-1], cells[-1] + (f" ({row['note']})" if row["note"] else "")]


def number_cells(row: pd.Series) -> list[str]:
    """Return a row of `Reproduction.totals`, or of `rows` without its epoch and note, as text."""
    accuracy = str(row["quantity"]).endswith("accuracy")

    def number(value: float) -> str:
        if pd.isna(value):
            return "-"
        return f"{100 * value:.2f} %" if accuracy else f"{value:.4f}"

    return [
        str(row["quantity"]).replace("_", " "),
        number(row["published"]),
        number(row["mean"]),
        f"{number(row['min']).removesuffix(' %')} to {number(row['max'])}" if row["n"] > 1 else "-",
        number(row["held_out"]),
        number(row["tolerance"]),
        str(row["verdict"]),
    ]


def reproduction_title(dataset: str, label: str) -> str:
    """Return the title. `label` names the data of the repetition: their pixels need not be the published ones."""
    published = PUBLISHED_ON.get(dataset, dataset)
    return f"The published {published} runs, repeated" + ("" if label == published else f" on {label}")


def other_pixels(dataset: str, label: str) -> list[str]:
    """Return a sentence if the repetition has other pixels than the published runs."""
    published = PUBLISHED_ON.get(dataset, dataset)
    if label == published:
        return []
    return [
        f"The published runs were trained on {published}, the repetitions on {label}: the pixels differ, and a "
        "difference between the numbers may come from them."
    ]


def reproduction_page(
    dataset: str,
    label: str,
    runs: Mapping[str, Reproduction],
    figures: Sequence[Figure | Absent],
    replicates: Sequence[Replicate],
    environment: Sequence[dict[str, Any]],
) -> str:
    """Return the page as HTML. `label` names the data; `environment` has an entry for each start of the command."""
    opening = Section(anchor="verdicts", title="Verdicts", columns=[_opening(runs, other_pixels(dataset, label))])
    sections = [
        Section(anchor="curves", title="Curves", columns=[figures]),
        Section(anchor="numbers", title="Every printed number", columns=[_verdicts(runs)]),
        Section(anchor="environment", title="How to repeat it", columns=[_repeating(label, replicates, environment)]),
    ]
    return render_page(title=reproduction_title(dataset, label), studies=[label], opening=opening, sections=sections)


def _opening(runs: Mapping[str, Reproduction], pixels: Sequence[str]) -> list[Block]:
    notes = list(dict.fromkeys(run.tolerance_note for run in runs.values()))
    if len(notes) > 1:
        notes = [f"{sentence(label)}: {run.tolerance_note}" for label, run in runs.items()]
    caveat = next((run.caveat for run in runs.values() if run.caveat), "")
    marked = [Prose(name="caveat", caveat=caveat, paragraphs=[_hidden(runs, caveat)])] if caveat else []
    return [
        Prose(name="verdicts", lead=True, paragraphs=[*(run.sentence for run in runs.values()), *pixels]),
        *marked,
        Prose(name="tolerance", paragraphs=notes),
    ]


def _hidden(runs: Mapping[str, Reproduction], caveat: str) -> str:
    """Return a sentence on the published test images, with the held-out accuracies that they hide."""
    cells = [f"What was published as test loss and test accuracy was {caveat}, and is repeated so."]
    for label, run in runs.items():
        last = run.rows[run.rows["quantity"] == "test_accuracy"].iloc[-1]
        if pd.notna(last["held_out"]):
            cells.append(
                f"{label}, epoch {last['epoch']}: {percent(last['mean'])} there, {percent(last['held_out'])} on the "
                "held-out test images."
            )
    return " ".join(cells)


def _verdicts(runs: Mapping[str, Reproduction]) -> list[Block]:
    """One table: of each run the means over the printed epochs, which its verdict rests on, and every number."""
    caveat = next((run.caveat for run in runs.values() if run.caveat), "")
    rows: list[Row] = []
    for label, run in runs.items():
        lines = [(row, ["mean", *number_cells(row)]) for _, row in run.totals.iterrows()]
        lines += [(row, cells(row)) for _, row in run.rows.iterrows()]
        rows += [Row(cells=[label, *_marked(line, row, run.caveat)]) for row, line in lines]
    table = Table(
        name="verdicts-table",
        title="Published and reproduced",
        caption=(
            "A run is reproduced if all of its means over the printed epochs are. Reproduced: mean over the seeds, of "
            "means over the seeds that reached every printed epoch. Held-out test: the same on the test images that no "
            "training saw. Accuracies and their tolerances in percent, losses in nats per image; in brackets how far a "
            "number is outside the tolerance, in nats or as a fraction, and a possible reason."
            + (f" What is marked “train images” was published as test and {caveat}." if caveat else "")
        ),
        columns=["Run", *(sentence(column) for column in COLUMNS)],
        numeric=frozenset(sentence(column) for column in COLUMNS if column not in ("quantity", "verdict")),
        rows=rows,
        file=TABLE_FILE,
    )
    return [*([Prose(name="caveat-table", caveat=caveat, paragraphs=[])] if caveat else []), table]


def _marked(cells: list[str], row: pd.Series, caveat: str) -> list[str]:
    """Mark a quantity that was published as test and taken on the training images."""
    mark = " (train images)" if caveat and row["quantity"] in HELD_OUT_FIELDS else ""
    return [cells[0], cells[1] + mark, *cells[2:]]


def _repeating(label: str, replicates: Sequence[Replicate], environment: Sequence[dict[str, Any]]) -> list[Block]:
    return [
        Facts(name="data", title="Data", facts=_data(label, environment)),
        *([Facts(name="runs", title="Runs", facts=_runs(replicates))] if replicates else []),
        *machine_blocks(environment),
    ]


def _data(label: str, environment: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    data = environment[-1].get("data", {}) if environment else {}
    facts = {"checksum": data.get("checksum"), "checksum of the split": data.get("split_checksum")}
    return [("data set", label), *((term, f"`{fact}`") for term, fact in facts.items() if fact)]


def _runs(replicates: Sequence[Replicate]) -> list[tuple[str, str]]:
    one = replicates[0]
    longest = max(len(replicate.epochs) for replicate in replicates)
    facts = [("model", one.model), ("loss", LOSSES.get(one.loss, one.loss)), ("epochs", str(longest))]
    for run in RUNS:
        trained = [replicate for replicate in replicates if replicate.variant == run]
        facts += [(run, configuration_words(trained[0].params))] if trained else []
        facts += [(f"seeds of {run}", ", ".join(str(replicate.seed) for replicate in trained) or "none yet")]
    return facts
