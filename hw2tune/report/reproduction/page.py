"""The page of a reproduction: verdicts, curves, every printed number, and what it takes to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hw2tune.records.replicates.records import Replicate
from hw2tune.report.figures.labels import LOSSES
from hw2tune.report.page.blocks import Absent, Block, Facts, Figure, Prose, Row, Section, Table
from hw2tune.report.page.environment import machine_blocks
from hw2tune.report.page.html import render_page
from hw2tune.report.reproduction.tables import HELD_OUT, Reproduction
from hw2tune.study.published import RUNS
from hw2tune.text.numbers import configuration_words, percent, sentence

COLUMNS = ("epoch", "quantity", "published", "reproduced", "min to max", "held-out test", "tolerance", "verdict")
TOTAL_COLUMNS = ("run", "mean of", *COLUMNS[2:])
TABLE_FILE, TOTALS_FILE = "reproduction.csv", "totals.csv"  # beside the page
PUBLISHED_ON = {"mnist": "MNIST", "cifar10": "CIFAR-10"}  # how the published runs call their data


def cells(row: pd.Series) -> list[str]:
    """One row of `Reproduction.rows` as text, under COLUMNS. Losses with four digits, accuracies in percent."""
    cells = _numbers(row)
    return [str(row["epoch"]), *cells[:-1], cells[-1] + (f" ({row['note']})" if row["note"] else "")]


def total_cells(run: str, row: pd.Series) -> list[str]:
    """One row of `Reproduction.totals` as text, under TOTAL_COLUMNS."""
    return [run, *_numbers(row)]


def _numbers(row: pd.Series) -> list[str]:
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
    """`label` is how the data of the repetition are called: their pixels need not be the published ones."""
    published = PUBLISHED_ON.get(dataset, dataset)
    return f"The published {published} runs, repeated" + ("" if label == published else f" on {label}")


def other_pixels(dataset: str, label: str) -> list[str]:
    """A sentence where the repetition has other pixels than the published runs."""
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
    """The page as HTML. `label` is how the data are called; `environment` has an entry a start of the command."""
    opening = Section(anchor="verdicts", title="Verdicts", columns=[_verdicts(runs, other_pixels(dataset, label))])
    sections = [
        Section(anchor="totals", title="Means over the printed epochs", columns=[_totals(runs)]),
        Section(anchor="curves", title="Curves", columns=[figures]),
        Section(anchor="numbers", title="Every printed number", columns=[_tables(runs)]),
        Section(anchor="environment", title="How to repeat it", columns=[_repeating(label, replicates, environment)]),
    ]
    return render_page(title=reproduction_title(dataset, label), studies=[label], opening=opening, sections=sections)


def _verdicts(runs: Mapping[str, Reproduction], pixels: Sequence[str]) -> list[Block]:
    notes = list(dict.fromkeys(run.tolerance_note for run in runs.values()))
    if len(notes) > 1:
        notes = [f"{sentence(label)}: {run.tolerance_note}" for label, run in runs.items()]
    caveat = next((run.caveat for run in runs.values() if run.caveat), "")
    marked = [Prose(name="caveat", caveat=caveat, paragraphs=[_test_told(runs, caveat)])] if caveat else []
    return [
        Prose(name="verdicts", lead=True, paragraphs=[*(run.sentence for run in runs.values()), *pixels]),
        *marked,
        Prose(name="tolerance", paragraphs=notes),
    ]


def _test_told(runs: Mapping[str, Reproduction], caveat: str) -> str:
    """What the published test was, with the accuracies that it hides."""
    cells = [f"What was published as test loss and test accuracy was {caveat}, and is repeated so."]
    for label, run in runs.items():
        last = run.rows[run.rows["quantity"] == "test_accuracy"].iloc[-1]
        if pd.notna(last["held_out"]):
            cells.append(
                f"{label}, epoch {last['epoch']}: {percent(last['mean'])} there, {percent(last['held_out'])} on the "
                "held-out test images."
            )
    return " ".join(cells)


def _totals(runs: Mapping[str, Reproduction]) -> list[Block]:
    """What the verdicts rest on."""
    caveat = next((run.caveat for run in runs.values() if run.caveat), "")
    rows = [
        Row(cells=_marked(total_cells(label, row), row, run.caveat))
        for label, run in runs.items()
        for _, row in run.totals.iterrows()
    ]
    table = Table(
        name="totals",
        title="What the verdicts rest on",
        caption=(
            "Each number is the mean over all printed epochs; a run is reproduced where every one of its rows is. "
            "Reproduced: mean over the seeds that reached every printed epoch. Accuracies and their tolerances in "
            "percent, losses in nats per image." + _marked_told(caveat)
        ),
        columns=[sentence(column) for column in TOTAL_COLUMNS],
        numeric=frozenset(sentence(column) for column in TOTAL_COLUMNS[2:-1]),
        rows=rows,
        file=TOTALS_FILE,
    )
    return [*([Prose(name="caveat-totals", caveat=caveat, paragraphs=[])] if caveat else []), table]


def _marked_told(caveat: str) -> str:
    return f" What is marked “train images” was published as test and {caveat}." if caveat else ""


def _marked(cells: list[str], row: pd.Series, caveat: str) -> list[str]:
    """Cells whose second is the quantity; what was published as test carries in short where it was taken."""
    mark = " (train images)" if caveat and row["quantity"] in HELD_OUT else ""
    return [cells[0], cells[1] + mark, *cells[2:]]


def _tables(runs: Mapping[str, Reproduction]) -> list[Block]:
    return [block for label, run in runs.items() for block in _table(label, run)]


def _table(label: str, run: Reproduction) -> list[Block]:
    caption = (
        "Reproduced: mean over the seeds. Held-out test: the same on the test images that no training saw. Accuracies "
        "and their tolerances in percent, losses in nats per image." + _marked_told(run.caveat)
    )
    table = Table(
        name=f"rows-{label}",
        title=sentence(label),
        caption=caption,
        columns=[sentence(column) for column in COLUMNS],
        numeric=frozenset(sentence(column) for column in COLUMNS if column not in ("quantity", "verdict")),
        rows=[Row(cells=_page_cells(row, run.caveat)) for _, row in run.rows.iterrows()],
        file=TABLE_FILE,
    )
    caveat = [Prose(name=f"caveat-{label}", caveat=run.caveat, paragraphs=[])] if run.caveat else []
    return [*caveat, table, *_outside(label, run)]


def _outside(label: str, run: Reproduction) -> list[Block]:
    """The rows that are not reproduced, with what is known of why: in the table above it would not fit."""
    noted = run.rows[run.rows["note"] != ""]
    if noted.empty:
        return []
    return [
        Table(
            name=f"outside-{label}",
            title=f"{sentence(label)}, not reproduced",
            caption="How far outside the tolerance, in nats or as a fraction, and what it may come from.",
            columns=["Epoch", "Quantity", "Note"],
            numeric=frozenset({"Epoch"}),
            rows=[Row(cells=[*_page_cells(row, run.caveat)[:2], str(row["note"])]) for _, row in noted.iterrows()],
            file=TABLE_FILE,
        )
    ]


def _page_cells(row: pd.Series, caveat: str) -> list[str]:
    """As `cells`, the note apart."""
    return _marked([str(row["epoch"]), *_numbers(row)], row, caveat)


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
