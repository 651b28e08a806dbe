"""On stdout: an exported network, the classes of image files, a repeated trial, two studies compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from hw2tune.terminal.formats import plain_table, print_json
from hw2tune.terminal.plan import trial_name, value_of
from hw2tune.text.numbers import configuration_line, label_of, measured, percent, percent_interval
from hw2tune.text.plain import SCHEMA

if TYPE_CHECKING:
    from hw2tune.export.predict import Prediction, Predictions
    from hw2tune.export.trained import TrainedModel
    from hw2tune.export.write import ExportedModel
    from hw2tune.replication.rerun import Rerun, RerunEpoch
    from hw2tune.report.compare import StudyComparison
    from hw2tune.report.study_data import StudyData


def print_exported(exported: ExportedModel, console: Console) -> None:
    """Print the files that were written, the network's accuracy, and that it predicts the same."""
    from hw2tune.export.card import chosen_words

    model = exported.model
    check = exported.check.sentence if exported.check else "no, onnxruntime is not there to load it again"
    lines = [
        f"{exported.file}: {_named(model)}; {chosen_words(model)}",
        f"accuracy: {exported.accuracy}",
        f"checked:  {check}",
        f"card:     {exported.card}",
        *(f"code:     {path}" for path in exported.code),
        *(f"note:     {note}" for note in exported.notes),
        f"try it:   python {exported.script} {model.argument}",
    ]
    console.print("\n".join(lines), soft_wrap=True)


def _named(model: TrainedModel) -> str:
    return f"{model.name}, epoch {model.epoch}, of the study {model.data.name}"


def print_predictions(found: Predictions, top: int, console: Console) -> None:
    """Print the network, and one line per image and class."""
    console.print(_named(found.model), soft_wrap=True)
    lines = plain_table(("image", "class", "confidence", "what was done"))
    for one in found.images:
        for place, (label, probability) in enumerate(list(one.probabilities.items())[:top]):
            first = place == 0
            lines.add_row(one.file if first else "", label, percent(probability), ", ".join(one.notes) if first else "")
    if lines.row_count:
        console.print(lines)


def print_predictions_json(found: Predictions, top: int) -> None:
    """Print the same as JSON, errors included; probabilities are fractions, of the `top` classes alone."""
    model = found.model
    content = {
        "schema": SCHEMA, "study": model.data.name, "training": model.name, "epoch": model.epoch,
        "classes": model.images.classes, "images": [_image(one, top) for one in found.images],
    }  # fmt: skip
    print_json(content)


def _image(one: Prediction, top: int) -> dict[str, Any]:
    if one.error:
        return {"file": one.file, "error": one.error}
    return {
        "file": one.file, "class": one.label, "confidence": one.confidence,
        "top": [{"class": label, "probability": p} for label, p in list(one.probabilities.items())[:top]],
        "notes": list(one.notes),
    }  # fmt: skip


def print_rerun(rerun: Rerun, console: Console) -> None:
    """Print every epoch as it was recorded and as it came out, the verdict, and the differences between the runs."""
    row = rerun.trial
    state = f"{row.state_text}; {configuration_line(row.params)}"
    console.print(f"{trial_name(row.number, row.label)} of {rerun.study.name}: {state}", soft_wrap=True)
    shown = list(dict.fromkeys(("train_loss", "validation_loss", rerun.study.objective)))
    headings = [heading for name in shown for heading in (label_of(name).replace("_", " "), "again")]
    lines = plain_table(("epoch", *headings, ""))
    for one in rerun.epochs:
        values = [_cell(values, name) for name in shown for values in (one.recorded, one.again)]
        lines.add_row(str(one.epoch), *values, "" if rerun.other_seed else _came_out(one))
    if rerun.epochs:
        console.print(lines)
    console.print(rerun.sentence, soft_wrap=True)
    for text in [] if rerun.same or rerun.other_seed else rerun.circumstances:
        console.print(f"- {text}", soft_wrap=True)


def _cell(values: dict[str, float], quantity: str) -> str:
    if quantity not in values:
        return "-"
    return f"{values[quantity]:.6f}" if quantity.endswith("loss") else measured(values[quantity], quantity)


def _came_out(one: RerunEpoch) -> str:
    if one.same:
        return "the same"
    return "another" if one.recorded and one.again else "not recorded" if one.again else "not reached"


def print_rerun_json(rerun: Rerun) -> None:
    """Print the same as JSON: losses in nats, accuracies as fractions."""
    content = {
        "schema": SCHEMA, "study": rerun.study.name, "trial": rerun.trial.number, "seed": rerun.seed,
        "study_seed": rerun.study.seed, "same": None if rerun.other_seed else rerun.same, "ended": rerun.ended,
        "best": rerun.best, "recorded_best": rerun.trial.value, "sentence": rerun.sentence,
        "circumstances": rerun.circumstances,
        "epochs": [
            {"epoch": one.epoch, "recorded": one.recorded, "again": one.again, "same": one.same} for one in rerun.epochs
        ],
    }  # fmt: skip
    print_json(content)


def print_comparison(comparison: StudyComparison, console: Console) -> None:
    """Print one column per study, one sentence per pair, then other differences."""
    both = (comparison.a, comparison.b)
    table = plain_table(("", *(data.name for data in both)))
    for line in zip(*map(_facts, both), strict=True):
        table.add_row(line[0][0], *(value for _, value in line))
    for variant in comparison.variants:
        table.add_row(f"test, {variant}", *(_accuracy(data, variant) for data in both))
    console.print(table)
    for pair in comparison.pairs:
        console.print(" ".join(filter(None, ["-", pair.sentence, pair.detail])), soft_wrap=True)
    for note in comparison.notes:
        console.print(f"- note: {note}", soft_wrap=True)


def _facts(data: StudyData) -> list[tuple[str, str]]:
    from hw2tune.records.dataset import short
    from hw2tune.report.compare import extent

    best, study = data.overview.leading.best, data.overview.study
    of = f" of {data.overview.best_arm}" if data.overview.best_arm else ""
    where = f" (#{best.number}{of}, epoch {best.best_epoch} of {study.max_epochs})" if best else ""
    return [
        ("images", data.images["label"]),
        ("split", short(data.images["split_checksum"])),
        ("model", study.model),
        ("objective", study.objective_spec.label),
        ("trials", extent(data)),
        ("best", value_of(best.value if best else None, study.objective) + where),
        ("configuration", configuration_line(best.params) if best else "-"),
    ]


def _accuracy(data: StudyData, variant: str) -> str:
    from hw2tune.report.compare import repeated, test_accuracy

    if (summary := test_accuracy(data, variant)) is None:
        return "-"
    over = repeated(data, variant)
    if summary.low is None or summary.high is None:
        return f"{percent(summary.mean)}, {'one seed' if over == '1 seed' else over}"
    return f"{percent(summary.mean)} ({percent_interval(summary.low, summary.high)}, {over})"
