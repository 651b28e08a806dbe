"""On stdout: two studies side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from hw2tune.terminal.plan import value_of
from hw2tune.terminal.tables import plain_table
from hw2tune.text.numbers import configuration_line, counted, p_value, percent

if TYPE_CHECKING:
    from hw2tune.report.compare import StudyComparison
    from hw2tune.report.inference.statistics import Summary
    from hw2tune.report.study_data import StudyData


def print_comparison(comparison: StudyComparison, console: Console) -> None:
    """A column a study, then a sentence a pair, then what else differs."""
    from hw2tune.records.dataset import short
    from hw2tune.report.compare import extent, test_accuracy

    both = (comparison.a, comparison.b)
    table = plain_table("", *(data.name for data in both))
    facts: dict[str, Callable[[StudyData], str]] = {
        "images": lambda data: data.images["label"],
        "split": lambda data: short(data.images["split_checksum"]),
        "model": lambda data: data.overview.study.model,
        "objective": lambda data: data.overview.study.objective_spec.label,
        "trials": extent,
        "best": _best,
        "configuration": lambda data: configuration_line(best.params) if (best := data.overview.best) else "-",
    }
    for name, fact in facts.items():
        table.add_row(name, *(fact(data) for data in both))
    for variant in comparison.variants:
        table.add_row(f"test, {variant}", *(_accuracy(test_accuracy(data, variant)) for data in both))
    console.print(table)
    tested = sum(pair.holm_p is not None for pair in comparison.pairs)
    for pair in comparison.pairs:
        holm = (
            f"Corrected for {tested} pairs (Holm): permutation {p_value(pair.holm_p)}."
            if pair.holm_p and tested > 1
            else ""
        )
        console.print(" ".join(filter(None, ["-", pair.sentence, pair.detail, holm])), soft_wrap=True)
    for note in comparison.notes:
        console.print(f"- note: {note}", soft_wrap=True)


def _best(data: StudyData) -> str:
    best, study = data.overview.best, data.overview.study
    if best is None:
        return "-"
    where = f"#{best.number}, epoch {best.best_epoch} of {study.max_epochs}"
    return f"{value_of(best.value, study.objective)} ({where})"


def _accuracy(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    if summary.low is None or summary.high is None:
        return f"{percent(summary.mean)}, one seed"
    return (
        f"{percent(summary.mean)} ({100 * summary.low:.2f} to {100 * summary.high:.2f}, {counted(summary.n, 'seed')})"
    )
