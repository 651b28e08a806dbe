"""`hw2tune export`, `predict` and `rerun`: the trained network in the user's hands."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import options as opt
from hw2tune.terminal.streams import stdout
from hw2tune.text.plain import printable

Variant = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="tuned, baseline, l2, ..., or best, the best trial; by default the race's winner, else the best trial.",
    ),
]
VariantSeed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", help="Of a variant, this replicate; else its first.")
]
Trial = Annotated[int | None, opt.number("A trial of the search by its number, in place of a variant.", 0)]


def export(
    name: opt.ResultsName,
    to: Annotated[str, typer.Option(metavar="FILE", help="model.pt2, model.safetensors or model.onnx.")],
    variant: Variant = None,
    seed: VariantSeed = None,
    trial: Trial = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
) -> None:
    """Write a trained network to a file, with its card and a script that predicts without hw2tune."""
    from hw2tune.export.write import export_model
    from hw2tune.terminal.models import print_exported

    exported = export_model(
        name, to, variant=variant, seed=seed, trial=trial, results_dir=results_dir, data_dir=data_dir, force=force
    )
    print_exported(exported, stdout())


def predict(
    name: opt.ResultsName,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Image files of any format and size.")],
    variant: Variant = None,
    seed: VariantSeed = None,
    trial: Trial = None,
    top: Annotated[int, opt.number("Show so many classes of each image.")] = 1,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
    json: opt.Json = False,
) -> None:
    """Say what is on image files, and how sure the network is."""
    from hw2tune.export.predict import predict as predicted
    from hw2tune.terminal.models import print_predictions, print_predictions_json

    found = predicted(
        name, images, variant=variant, seed=seed, trial=trial, results_dir=results_dir, data_dir=data_dir
    )  # fmt: skip
    print_predictions_json(found, top) if json else print_predictions(found, top, stdout())
    for one in found.images:
        if one.error:
            typer.echo(printable(f"hw2tune: {one.file}: {one.error}"), err=True)
    if any(one.error for one in found.images):
        raise typer.Exit(1)


def rerun(
    name: opt.ResultsName,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="The trial's number.")],
    seed: Annotated[int | None, opt.number("Train the configuration on this seed instead.", 0)] = None,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train one trial again and say whether it comes out the same; exit code 1 where it does not."""
    from hw2tune.replication.rerun import rerun_trial
    from hw2tune.terminal.models import print_rerun, print_rerun_json
    from hw2tune.terminal.progress import progress

    with progress(quiet=quiet) as tell:
        came = rerun_trial(
            name, trial, seed=seed, results_dir=results_dir, data_dir=data_dir, listeners=[tell]
        )  # fmt: skip
    print_rerun_json(came) if json else print_rerun(came, stdout())
    if not came.same and not came.other_seed:
        raise typer.Exit(1)
