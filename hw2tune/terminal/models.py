"""On stdout: an exported network, and what a network says of image files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from hw2tune.terminal.plan import trial_name
from hw2tune.terminal.streams import results
from hw2tune.terminal.tables import plain_table
from hw2tune.text.numbers import configuration_line, label_of, measured, percent
from hw2tune.text.plain import SCHEMA, strict_json

if TYPE_CHECKING:
    from hw2tune.export.predict import Prediction, Predictions
    from hw2tune.export.trained import TrainedModel
    from hw2tune.export.write import ExportedModel
    from hw2tune.replication.rerun_result import Rerun, RerunEpoch


def print_exported(exported: ExportedModel, console: Console) -> None:
    """What was written, how good it is, and that it predicts the same."""
    from hw2tune.export.card import chosen_words

    model = exported.model
    console.print(f"{exported.file}: {_named(model)}; {chosen_words(model)}", soft_wrap=True)
    console.print(f"accuracy: {exported.accuracy}", soft_wrap=True)
    if exported.check is None:
        console.print("checked:  no, onnxruntime is not there to load it again", soft_wrap=True)
    else:
        console.print(f"checked:  {exported.check.sentence}", soft_wrap=True)
    console.print(f"card:     {exported.card}", soft_wrap=True)
    for path in exported.code:
        console.print(f"code:     {path}", soft_wrap=True)
    for note in exported.notes:
        console.print(f"note:     {note}", soft_wrap=True)
    given = "IMAGE" if model.images.image_shape[2] in (1, 3) else "PIXELS.npy"
    console.print(f"try it:   python {exported.script} {given}", soft_wrap=True)


def _named(model: TrainedModel) -> str:
    return f"{model.name}, epoch {model.epoch}, of the study {model.data.name}"


def print_predictions(found: Predictions, top: int, console: Console) -> None:
    """Which network, and one line an image and class."""
    console.print(_named(found.model), soft_wrap=True)
    lines = plain_table("image", "class", "confidence", "what was done")
    for one in found.images:
        for place, (label, probability) in enumerate(list(one.probabilities.items())[:top]):
            first = place == 0
            lines.add_row(one.file if first else "", label, percent(probability), ", ".join(one.notes) if first else "")
    if lines.row_count:
        console.print(lines)


def print_predictions_json(found: Predictions, top: int) -> None:
    """The same as JSON, errors among it; probabilities are fractions, of the `top` classes alone."""
    model = found.model
    content = {
        "schema": SCHEMA, "study": model.data.name, "training": model.name, "epoch": model.epoch,
        "classes": model.images.classes, "images": [_image(one, top) for one in found.images],
    }  # fmt: skip
    print(strict_json(content, indent=2), file=results())


def _image(one: Prediction, top: int) -> dict[str, Any]:
    if one.error:
        return {"file": one.file, "error": one.error}
    return {
        "file": one.file, "class": one.label, "confidence": one.confidence,
        "top": [{"class": label, "probability": p} for label, p in list(one.probabilities.items())[:top]],
        "notes": list(one.notes),
    }  # fmt: skip


def print_rerun(rerun: Rerun, console: Console) -> None:
    """Every epoch as it was recorded and as it came out, the verdict, and what differs between then and now."""
    row, objective = rerun.trial, rerun.study.objective
    state = f"{row.state_text}; {configuration_line(row.params)}"
    console.print(f"{trial_name(row.number, row.label)} of {rerun.study.name}: {state}", soft_wrap=True)
    shown = list(dict.fromkeys(("train_loss", "validation_loss", objective)))
    lines = plain_table("epoch", *(heading for name in shown for heading in (_label(name), "again")), "")
    for one in rerun.epochs:
        values = [_cell(values, name) for name in shown for values in (one.recorded, one.again)]
        lines.add_row(str(one.epoch), *values, "" if rerun.other_seed else _came_out(one))
    if rerun.epochs:
        console.print(lines)
    console.print(rerun.sentence, soft_wrap=True)
    for text in [] if rerun.same or rerun.other_seed else rerun.circumstances:
        console.print(f"- {text}", soft_wrap=True)


def _label(quantity: str) -> str:
    return label_of(quantity).replace("_", " ")


def _cell(values: dict[str, float], quantity: str) -> str:
    if quantity not in values:
        return "-"
    return f"{values[quantity]:.6f}" if quantity.endswith("loss") else measured(values[quantity], quantity)


def _came_out(one: RerunEpoch) -> str:
    if one.same:
        return "the same"
    return "another" if one.recorded and one.again else "not recorded" if one.again else "not reached"


def print_rerun_json(rerun: Rerun) -> None:
    """The same as JSON: losses in nats, accuracies as fractions."""
    content = {
        "schema": SCHEMA, "study": rerun.study.name, "trial": rerun.trial.number, "seed": rerun.seed,
        "study_seed": rerun.study.seed, "same": None if rerun.other_seed else rerun.same, "ended": rerun.ended,
        "best": rerun.best, "recorded_best": rerun.trial.value, "sentence": rerun.sentence,
        "circumstances": rerun.circumstances,
        "epochs": [
            {"epoch": one.epoch, "recorded": one.recorded, "again": one.again, "same": one.same} for one in rerun.epochs
        ],
    }  # fmt: skip
    print(strict_json(content, indent=2), file=results())
