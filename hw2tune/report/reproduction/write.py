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
from functools import partial
from pathlib import Path
from typing import get_args

import pandas as pd

from hw2tune.paths import refuse_links_out
from hw2tune.records.atomic import write_atomically
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.environment import runs, sound_runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from hw2tune.report.figures import DrawnFigure, MissingFigure, make_figures
from hw2tune.report.figures.curves import HELD_OUT, LOSSES, VALIDATION, Quantity, draw_curves
from hw2tune.report.figures.drawing import Recipe
from hw2tune.report.outputs import PAGE, default_target, replacing
from hw2tune.report.page.blocks import Block, Facts, Prose, Row, Section, Table, render_page
from hw2tune.report.page.sections import figure_block, machine_blocks
from hw2tune.report.reproduction.tables import HELD_OUT_FIELDS, Reproduction, reproduce
from hw2tune.report.study_data import StudyData
from hw2tune.report.write import escape
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.published import PROTOCOLS, RUNS, published_epochs
from hw2tune.text.numbers import configuration_words, percent, sentence
from hw2tune.text.plain import markdown_table

TABLE_FILE, TOTALS_FILE, MARKDOWN_FILE = "reproduction.csv", "totals.csv", "reproduction.md"
COLUMNS = ("epoch", "quantity", "published", "reproduced", "min to max", "held-out test", "tolerance", "verdict")
PUBLISHED_ON = {"mnist": "MNIST", "cifar10": "CIFAR-10"}  # the data sets as the published runs call them


@dataclass(frozen=True, kw_only=True)
class ReproductionReport:
    """The files of a report, and the comparisons by run (`baseline`, `l2`)."""

    name: str
    label: str  # of the data of the repetition: their pixels need not be the published ones
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
    name = data.overview.study.dataset
    evaluated = [replicate.last for replicate in data.replicates if replicate.last]
    overlaps = any(last.overlaps_training for last in evaluated) if evaluated else None
    runs = {
        run: reproduce(published_epochs(name, run), [one.epochs for one in data.of(run)], overlaps_training=overlaps)
        for run in RUNS
    }
    target = target or default_target([folder])
    with replacing(target) as scratch:
        below = HELD_OUT if runs[RUNS[0]].caveat else VALIDATION
        recipes = [
            Recipe(
                name=f"reproduction-{quantity}",
                section="curves",
                title=f"{quantity.capitalize()}, reproduced and published",
                draw=partial(draw_curves, quantity=quantity, below=below),
            )
            for quantity in get_args(Quantity)
        ]
        figures = make_figures(data, scratch / "figures", recipes)
        write_atomically(scratch / TABLE_FILE, _csv({run: one.rows for run, one in runs.items()}))
        write_atomically(scratch / TOTALS_FILE, _csv({run: one.totals for run, one in runs.items()}))
        write_atomically(scratch / MARKDOWN_FILE, _markdown(data, runs))
        write_atomically(scratch / PAGE, _page(data, runs, figures))
    drawn = [path for figure in figures if isinstance(figure, DrawnFigure) for path in (figure.png, figure.pdf)]
    return ReproductionReport(
        name=name,
        label=data.label,
        runs=runs,
        page=target / PAGE,
        table=target / TABLE_FILE,
        totals=target / TOTALS_FILE,
        markdown=target / MARKDOWN_FILE,
        figures=[target / path.relative_to(scratch) for path in drawn],
    )


def _read(folder: StudyFolder) -> StudyData:
    """Return the repetitions as data of the shipped study with the published configurations."""
    dataset = folder.name.removeprefix("reproduce-").split(".")[0]
    study = parse_study(*find_study(PROTOCOLS[dataset].study))
    environment = sound_runs(runs(folder))
    noted = environment[-1].get("data", {}) if environment else {}
    record = DatasetRecord(
        name=dataset, label=str(noted.get("name", PUBLISHED_ON[dataset])), classes=[], image_shape=[], mean=[], std=[],
        checksum=noted.get("checksum", ""), split_checksum=noted.get("split_checksum", ""), sizes={}, source="",
    )  # fmt: skip
    return StudyData(
        overview=Overview(folder=folder, study=study, rows=[], running=None),
        replicates=read_replicates(ReplicatesFolder.of(folder)),
        dataset=record,
        gallery=None,
        pixel_counts=None,
        race=None,
        environment=environment,
    )


def _csv(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the tables of the runs as one, with the run in the first column."""
    rows = pd.concat([table.assign(run=run) for run, table in tables.items()])
    return rows[["run", *rows.columns.drop("run")]].to_csv(index=False, lineterminator="\n")


def cells(row: pd.Series) -> list[str]:
    """Return a row of `rows` or `totals` as text, under COLUMNS: losses with four digits, accuracies in percent."""
    accuracy = str(row["quantity"]).endswith("accuracy")

    def number(value: float) -> str:
        return "-" if pd.isna(value) else percent(value) if accuracy else f"{value:.4f}"

    return [
        str(row.get("epoch", "mean")),
        str(row["quantity"]).replace("_", " "),
        number(row["published"]),
        number(row["mean"]),
        f"{number(row['min']).removesuffix(' %')} to {number(row['max'])}" if row["n"] > 1 else "-",
        number(row["held_out"]),
        number(row["tolerance"]),
        str(row["verdict"]) + (f" ({row['note']})" if row.get("note") else ""),
    ]


def _title(data: StudyData) -> tuple[str, list[str]]:
    """Return the title, and a sentence if the repetition has other pixels than the published runs."""
    published, label = PUBLISHED_ON[data.overview.study.dataset], data.label
    title = f"The published {published} runs, repeated"
    if label == published:
        return title, []
    return f"{title} on {label}", [
        f"The published runs were trained on {published}, the repetitions on {label}: the pixels differ, and a "
        "difference between the numbers may come from them."
    ]


def _markdown(data: StudyData, runs: Mapping[str, Reproduction]) -> str:
    title, pixels = _title(data)
    totals = [[run, *cells(row)[1:]] for run, one in runs.items() for _, row in one.totals.iterrows()]
    parts = [
        f"# {escape(title)}",
        *map(escape, pixels),
        "## Means over the printed epochs",
        *dict.fromkeys(f"**“test”: {one.caveat}**" for one in runs.values() if one.caveat),
        markdown_table(("run", "mean of", *COLUMNS[2:]), totals),
    ]
    for run, one in runs.items():
        parts += [f"## {run}", one.sentence, one.tolerance_note, *([f"**{one.caveat}**"] if one.caveat else [])]
        parts.append(markdown_table(COLUMNS, [cells(row) for _, row in one.rows.iterrows()]))
    return "\n\n".join(parts) + "\n"


def _page(data: StudyData, runs: Mapping[str, Reproduction], figures: Sequence[DrawnFigure | MissingFigure]) -> str:
    """Return the page: verdicts, curves, every printed number, and what it takes to repeat it."""
    title, pixels = _title(data)
    caveat = next((run.caveat for run in runs.values() if run.caveat), "")
    mark = f"“test”: {caveat}" if caveat else ""
    notes = list(dict.fromkeys(run.tolerance_note for run in runs.values()))
    if len(notes) > 1:
        notes = [f"{sentence(label)}: {run.tolerance_note}" for label, run in runs.items()]
    opening = [
        Prose(name="verdicts", lead=True, paragraphs=[*(run.sentence for run in runs.values()), *pixels]),
        *([Prose(name="caveat", caveat=caveat, paragraphs=[_hidden(runs, caveat)])] if caveat else []),
        Prose(name="tolerance", paragraphs=notes),
    ]
    marked = [Prose(name="caveat-table", caveat=caveat, paragraphs=[])] if caveat else []
    sections: list[tuple[str, str, list[Block]]] = [
        ("curves", "Curves", [figure_block(one, "figures/", mark) for one in figures]),
        ("numbers", "Every printed number", [*marked, _verdicts(runs, caveat)]),
        ("environment", "How to repeat it", [*_facts(data), *machine_blocks(data.environment)]),
    ]
    return render_page(
        title=title,
        studies=[data.label],
        opening=Section(anchor="verdicts", title="Verdicts", columns=[opening]),
        sections=[Section(anchor=anchor, title=title, columns=[blocks]) for anchor, title, blocks in sections],
    )


def _hidden(runs: Mapping[str, Reproduction], caveat: str) -> str:
    """Return a sentence on the published test images, with the held-out accuracies that they hide."""
    sentences = [f"What was published as test loss and test accuracy was {caveat}, and is repeated so."]
    for label, run in runs.items():
        last = run.rows[run.rows["quantity"] == "test_accuracy"].iloc[-1]
        if pd.notna(last["held_out"]):
            sentences.append(
                f"{label}, epoch {last['epoch']}: {percent(last['mean'])} there, {percent(last['held_out'])} on the "
                "held-out test images."
            )
    return " ".join(sentences)


def _verdicts(runs: Mapping[str, Reproduction], caveat: str) -> Table:
    """One table: of each run the means over the printed epochs, which its verdict rests on, and every number."""
    rows = []
    for label, run in runs.items():
        for _, row in [*run.totals.iterrows(), *run.rows.iterrows()]:
            mark = " (train images)" if run.caveat and row["quantity"] in HELD_OUT_FIELDS else ""
            epoch, quantity, *others = cells(row)
            rows.append(Row(cells=[label, epoch, quantity + mark, *others]))
    columns = [sentence(column) for column in COLUMNS]
    return Table(
        name="verdicts-table",
        title="Published and reproduced",
        caption=(
            "A run is reproduced if all of its means over the printed epochs are. Reproduced: mean over the seeds, of "
            "means over the seeds that reached every printed epoch. Held-out test: the same on the test images that no "
            "training saw. Accuracies and their tolerances in percent, losses in nats per image; in brackets how far a "
            "number is outside the tolerance, in nats or as a fraction, and a possible reason."
            + (f" What is marked “train images” was published as test and {caveat}." if caveat else "")
        ),
        columns=["Run", *columns],
        numeric=[columns[0], *columns[2:-1]],
        rows=rows,
        file=TABLE_FILE,
    )


def _facts(data: StudyData) -> list[Block]:
    """Return the images, and the runs with their seeds."""
    noted = data.environment[-1].get("data", {}) if data.environment else {}
    sums = {"checksum": noted.get("checksum"), "checksum of the split": noted.get("split_checksum")}
    images = [("data set", data.label), *((term, f"`{fact}`") for term, fact in sums.items() if fact)]
    blocks: list[Block] = [Facts(name="data", title="Data", facts=images)]
    if data.replicates:
        one = data.replicates[0]
        longest = max(len(replicate.epochs) for replicate in data.replicates)
        facts = [("model", one.model), ("loss", LOSSES.get(one.loss, one.loss)), ("epochs", str(longest))]
        for run in RUNS:
            trained = data.of(run)
            facts += [(run, configuration_words(trained[0].params))] if trained else []
            facts += [(f"seeds of {run}", ", ".join(str(replicate.seed) for replicate in trained) or "none yet")]
        blocks.append(Facts(name="runs", title="Runs", facts=facts))
    return blocks
