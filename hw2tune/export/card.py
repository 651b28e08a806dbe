"""The model card next to an exported file: accuracy, use, preprocessing, data and training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hw2tune.inference.statistics import Summary
from hw2tune.records.environment import run_facts
from hw2tune.records.evaluation import Evaluation
from hw2tune.report.compare import repeated, test_accuracy
from hw2tune.study.objectives import objective_of
from hw2tune.study.schema import TUNED
from hw2tune.study.splits import split_of_seed, split_seed
from hw2tune.text.numbers import counted, measured, percent, percent_interval
from hw2tune.text.plain import markdown_table

if TYPE_CHECKING:
    from hw2tune.export.check import Check
    from hw2tune.export.trained import TrainedModel


def accuracy(model: TrainedModel) -> tuple[Evaluation, Summary] | None:
    """Return the test evaluation of these weights and the accuracy of their variant, or None of a trial.

    The latter is over seeds, or over the means of searches or splits. No test image is read of a trial.
    """
    if model.replicate is None or model.replicate.chosen is None:
        return None
    summary = test_accuracy(model.data, model.replicate.variant)
    assert summary is not None, "of this replicate at least"
    return model.replicate.chosen, summary


def accuracy_words(model: TrainedModel) -> str:
    """Return the test accuracy, or of a trial its objective, on one line."""
    if (known := accuracy(model)) is None:
        study, value = model.study, model.record.get(model.study.objective)
        shown = "unknown" if value is None else measured(value, study.objective)
        label = f"{study.objective_spec.label} {shown}"
        return f"{label}; of a trial no test image is read: `hw2tune summarize {model.data.name}` tests"
    one, summary = known
    assert model.replicate is not None, "it has an accuracy"
    text = f"{percent(one.accuracy)} of {one.total:,} test images"
    if summary.low is None or summary.high is None:
        return f"{text}, a single run"
    mean = f"{percent(summary.mean)} (95 % interval {percent_interval(summary.low, summary.high)})"
    return f"{text}; the mean of {repeated(model.data, model.replicate.variant)} is {mean}"


def chosen_words(model: TrainedModel) -> str:
    """Return the origin of the configuration: the best trial, the race's winner, a reference or a claim's variant."""
    race, row = model.data.race, model.trial
    if row is not None:
        best = model.data.overview.best
        return "the best trial of the search" if best is not None and row.number == best.number else "a trial"
    assert model.replicate is not None, "a replicate or a trial"
    if model.replicate.variant == TUNED:
        won = f", trial {race.winner}, by a race on validation images" if race else ""
        ended = counted(len(model.data.raced.rows), "trial")
        before = f" among the {ended} that had ended by then" if model.data.went_on else ""
        return f"the winner of the search{won}{before}"
    return "a reference" if model.replicate.variant in model.data.references else "a variant of the claims"


def card(
    model: TrainedModel, *, file: str, script: str, needs: str, check: Check | None, checksums: Mapping[str, str]
) -> str:
    """Return the card as Markdown. `checksums` are of the files, by name."""
    images, study = model.images, model.study
    facts = run_facts()
    lines = [
        f"# {file}: {model.name} of the study `{model.data.name}`",
        f"`{study.model}`, {chosen_words(model)}, trained on {images.label}; the weights are those after epoch "
        f"{model.epoch}, which validation chose. Written by hw2tune {facts['versions'].get('hw2tune', '')} on "
        f"{facts['started'][:10]}.",
        "## Use",
        f"```console\npython {script} {model.argument}\n```",
        f"It needs {needs}, and no hw2tune.",
        "## How good it is",
        _table(("what", "value"), _scores(model)),
        *([f"**Caveat:** {images.caveat}"] if images.caveat else []),
        f"The file was loaded again when it was written, and gave {check.sentence}."
        if check
        else "The file was not loaded again when it was written: onnxruntime was not there.",
        "## Input, preprocessing, output",
        _preprocessing(model, file),
        "## Data",
        _table(("what", "value"), _data(model)),
        "## Training",
        _table(("what", "value"), _training(model)),
        "## Where it was trained",
        *_environment(model),
        "## Checksums",
        _table(("file", "SHA-256"), ((f"`{name}`", f"`{digest}`") for name, digest in checksums.items())),
    ]
    return "\n\n".join(lines) + "\n"


def _scores(model: TrainedModel) -> Iterable[tuple[str, str]]:
    if (known := accuracy(model)) is None:
        yield "test accuracy", "not known: no test image was read of a trial"
    else:
        one, summary = known
        yield f"test accuracy of these weights, {one.total:,} images", percent(one.accuracy)
        if summary.low is None or summary.high is None:
            yield "interval", "none: a single run"
        else:
            assert model.replicate is not None, "it has an accuracy"
            mean = f"{percent(summary.mean)}, 95 % interval {percent_interval(summary.low, summary.high)}"
            over = repeated(model.data, model.replicate.variant)
            yield f"test accuracy of {model.replicate.variant}, mean of {over}", mean
        if one.loss is not None:
            yield "test loss", measured(one.loss, "test_loss")
        spec = model.study.objective_spec
        if spec.metric not in ("accuracy", "loss") and (value := one.measured(spec.metric)) is not None:
            yield f"{spec.on_test} of these weights", measured(value, spec.name)
    for quantity in dict.fromkeys(("validation_accuracy", model.study.objective)):
        if (value := model.record.get(quantity)) is not None:
            chose = ", by which the epoch was chosen" if quantity == model.study.objective else ""
            yield objective_of(quantity).label + chose, measured(value, quantity)


def _preprocessing(model: TrainedModel, file: str) -> str:
    height, width, channels = model.images.image_shape
    colours = {1: "gray", 3: "RGB"}.get(channels, f"{channels} channels")
    inside = not file.endswith(".safetensors")
    black, white = model.images.black_and_white
    kind, x = ("uint8", "x / 255") if model.unit == 255 else ("float32", "x")
    mean, std = ([f"{value:g}" for value in values] for values in (model.images.mean, model.images.std))
    where = (
        "The graph itself normalises: nothing is left to do outside."
        if inside
        else "The weights are of the bare network; the module beside the file normalises, and takes pixels."
    )
    from_file = (
        "An image file of another size is turned as its camera noted, laid on white where it is transparent, "
        f"converted to {colours} and resized to {width} x {height} (width x height), bilinear; "
        f"its levels 0 to 255 become {black:g} to {white:g}"
    )
    return (
        f"- Input `pixels`: {kind}, {black:g} to {white:g}, shape (N, {channels}, {height}, {width}), {colours}, "
        "any N.\n"
        f"- {from_file if model.takes_files else 'No image file has such pixels'}.\n"
        f"- Each pixel x becomes ({x} - mean) / std, by channel: mean {', '.join(mean)}; std {', '.join(std)}. "
        f"{where}\n"
        f"- Output `probabilities`: float32, shape (N, {len(model.images.classes)}), the softmax of the network's "
        "logits; column k is class k of the list, which stands in the file's metadata as well.\n"
        f"- Classes: {', '.join(f'`{name}`' for name in model.images.classes)}."
    )


def _data(model: TrainedModel) -> Iterable[tuple[str, str]]:
    images = model.images
    yield "data set", images.label
    if images.sizes:
        yield "images", ", ".join(f"{size:,} {split}" for split, size in images.sizes.items())
    yield from (("images", note) for note in images.notes)
    yield "checksum of all pixels and labels", f"`{images.checksum or 'not recorded'}`"
    yield "checksum of the split", f"`{images.split_checksum or 'not recorded'}`"
    yield "seed of the split", str(split_seed(model.study, split_of_seed(model.study, model.seed)))


def _training(model: TrainedModel) -> Iterable[tuple[str, str]]:
    study = model.study
    yield "model", f"`{study.model}`"
    yield "loss", study.loss.replace("_", " ")
    yield "epochs", f"{len(model.epochs)} of at most {study.max_epochs}; these weights are of epoch {model.epoch}"
    yield "seed", str(model.seed)
    yield from ((f"`{name}`", f"`{value}`") for name, value in model.hyperparameters.as_dict().items())


def _environment(model: TrainedModel) -> list[str]:
    # The last run that trained replicates, or of a trial the last one of the search: each names its seeds.
    kind = "study" if model.replicate is None else "replicates"
    every = list(reversed(model.data.environment))
    run = next((run for run in every if kind in run.get("seeds", {})), every[0] if every else {})
    if not run:
        return ["Not recorded."]
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    facts = {
        "started": run.get("started"), "Python": run.get("python"), "packages": versions,
        "commit of hw2tune": run.get("commit"), "processor": run.get("processor"), "platform": run.get("platform"),
        "resources": run.get("resources", {}).get("at"),
    }  # fmt: skip
    return [
        f"```console\n{run.get('command', '')}\n```",
        _table(("what", "value"), ((name, str(fact)) for name, fact in facts.items() if fact)),
    ]


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    return markdown_table(heads, ([cell.replace("|", r"\|") for cell in row] for row in rows))
