"""The page of a reproduction: verdicts, curves, every printed number, and what it takes to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hw2tune.records.replicates import Replicate
from hw2tune.report.figures.labels import LOSSES
from hw2tune.report.page.blocks import Absent, Block, Facts, Figure, Prose, Row, Section, Table
from hw2tune.report.page.environment import machine_blocks
from hw2tune.report.page.html import render_page
from hw2tune.report.reproduction.tables import HELD_OUT, Reproduction
from hw2tune.study.published import RUNS
from hw2tune.text.numbers import configuration_words, percent, sentence

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
    mark = " (train images)" if caveat and row["quantity"] in HELD_OUT else ""
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
