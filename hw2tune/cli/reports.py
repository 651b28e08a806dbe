"""Commands after a search: `summarize`, `reproduce`, `compare` and `paper`, and `export`, `predict` and `rerun`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hw2tune.cli import options as opt
from hw2tune.study.names import RACE
from hw2tune.terminal.streams import results, stdout
from hw2tune.text.plain import printable

if TYPE_CHECKING:
    from hw2tune.integrations.logger import RecordsLogger
    from hw2tune.report.write import ReportFiles

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


# Options of `summarize` that a report from files has no use for.
OF_TRAINING = (
    "replicates", "most", "splits", "race", "each_finalist", "results_dir", "data_dir", "trust", "cpus_per_trial",
    "gpus_per_trial", "concurrency", "address", "log", "plan",
)  # fmt: skip


def summarize(
    ctx: typer.Context,
    names: opt.Results = None,
    replicates: opt.Replicates = None,
    most: opt.Most = None,
    splits: opt.Splits = None,
    race: opt.Race = RACE,
    each_finalist: opt.EachFinalist = 0,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
    address: opt.Address = None,
    from_files: opt.FromFiles = None,
    output: opt.Output = None,
    log: opt.Log = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print what replicates cost and which differences they see; train nothing."),
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Replicate what the claims name, test it, and write the report."""
    from hw2tune.api import plan_replicates, replicate_study, report_from_files
    from hw2tune.report.outputs import checked_target
    from hw2tune.terminal.progress import progress

    if from_files is not None:
        why = "has no effect with --from-files, which draws again what is there; leave one of them out"
        opt.refuse(ctx, why, *OF_TRAINING)
    if plan:
        why = "has no effect with --plan, which trains nothing and writes no report; leave one of them out"
        opt.refuse(ctx, why, "output", "log", "open_page")
    target = None if output is None else checked_target(output)
    if from_files is not None:
        print_files(report_from_files(from_files, target, names or ()), open_page=open_page, json=json)
        return
    if plan:
        from hw2tune.terminal.plan import print_replicates_costs

        plans = plan_replicates(
            names or (), replicates=replicates, most=most, splits=splits, race=race, each_finalist=each_finalist,
            results_dir=results_dir, data_dir=data_dir, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial,
            concurrency=concurrency, address=address,
        )  # fmt: skip
        print_replicates_costs(plans, stdout(), json=json)
        return
    loggers = make_loggers(log, results_dir, names or ()) if log else []
    with progress(quiet=quiet) as tell:
        report = replicate_study(
            names or (), replicates=replicates, most=most, splits=splits, race=race, each_finalist=each_finalist,
            results_dir=results_dir, data_dir=data_dir, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial,
            concurrency=concurrency, address=address, output=target, listeners=[tell, *loggers],
        )  # fmt: skip
    print_files(report, open_page=open_page, json=json)


def reproduce(
    what: Annotated[
        Literal["mnist", "cifar10", "all"],
        typer.Argument(metavar="WHAT", help="Which published runs: mnist, cifar10 or all."),
    ] = "all",
    replicates: Annotated[int, opt.number("Seeds that each variant is trained on.")] = 3,
    max_epochs: opt.MaxEpochs = None,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
    address: opt.Address = None,
    output: opt.Output = None,
    quiet: opt.Quiet = False,
) -> None:
    """Repeat the published runs exactly as published, and hold the numbers beside the held-out test images."""
    from hw2tune import api
    from hw2tune.terminal.progress import progress
    from hw2tune.terminal.tables import print_reproduction

    with progress(quiet=quiet) as tell:
        written = api.reproduce(
            what, replicates=replicates, max_epochs=max_epochs, results_dir=results_dir, data_dir=data_dir,
            cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address,
            output=output, listeners=[tell],
        )  # fmt: skip
    for each in written:
        print_reproduction(each, stdout())


def make_loggers(log: Sequence[str], results: str | Path, names: Sequence[str]) -> list[RecordsLogger]:
    """Return the loggers of `--log`; working copies of results behind a URL are hw2tune's own and not checked."""
    from hw2tune import integrations

    folders = [] if "://" in str(results) else [Path(results) / name for name in names]
    return integrations.make_loggers(log, folders)


def compare(
    a: Annotated[str, opt.named("A study in the results.", "A")],
    b: Annotated[str, opt.named("Another; differences are B less A.", "B")],
    results_dir: opt.ResultsDir = "ray_results",
    json: opt.Json = False,
) -> None:
    """Put two studies side by side, and test their difference on the seeds that both have."""
    from hw2tune.report.compare import compare_studies
    from hw2tune.terminal.formats import print_json
    from hw2tune.terminal.models import print_comparison

    comparison = compare_studies(a, b, results_dir=results_dir)
    print_json(comparison.as_json()) if json else print_comparison(comparison, stdout())


def paper(
    names: Annotated[list[str], opt.named("Studies in the results, for one table.")],
    to: Annotated[str, typer.Option(metavar="DIR", help="A new or empty folder, or one that this command wrote.")],
    results_dir: opt.ResultsDir = "ray_results",
) -> None:
    """Write claims, numbers, methods and figures for a paper in LaTeX.

    Trains nothing. A text that was changed since it was written is not replaced.
    """
    from hw2tune.report.paper.write import paper as written
    from hw2tune.terminal.tables import print_paper

    print_paper(written(names, to, results_dir=results_dir), stdout())


def print_files(files: ReportFiles, *, open_page: bool, json: bool) -> None:
    """Print the report's findings and its place."""
    from hw2tune.terminal.tables import print_report

    if json:
        typer.echo(files.json.read_bytes(), file=results())  # JSON is UTF-8 whatever the terminal's encoding is
    else:
        print_report(files, stdout())
    if open_page:
        typer.launch(files.page.resolve().as_uri())


def export(
    name: opt.ResultsName,
    to: Annotated[str, typer.Option(metavar="FILE", help="model.pt2, model.safetensors or model.onnx.")],
    variant: Variant = None,
    seed: VariantSeed = None,
    trial: Trial = None,
    arm: opt.Arm = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
) -> None:
    """Write a trained network to a file, with its card and a script that predicts without hw2tune."""
    from hw2tune.export.write import export_model
    from hw2tune.terminal.models import print_exported

    exported = export_model(
        name,
        to,
        variant=variant,
        seed=seed,
        trial=trial,
        arm=arm,
        results_dir=results_dir,
        data_dir=data_dir,
        force=force,
    )
    print_exported(exported, stdout())


def predict(
    name: opt.ResultsName,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Image files of any format and size.")],
    variant: Variant = None,
    seed: VariantSeed = None,
    trial: Trial = None,
    arm: opt.Arm = None,
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
        name, images, variant=variant, seed=seed, trial=trial, arm=arm, results_dir=results_dir, data_dir=data_dir
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
    arm: opt.Arm = None,
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

    name = opt.with_arm(name, arm) or name
    with progress(quiet=quiet) as tell:
        came = rerun_trial(
            name, trial, seed=seed, results_dir=results_dir, data_dir=data_dir, listeners=[tell]
        )  # fmt: skip
    print_rerun_json(came) if json else print_rerun(came, stdout())
    if not came.same and not came.other_seed:
        raise typer.Exit(1)
