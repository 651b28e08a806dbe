"""The commands. Each is declared here, calls one function, and prints; what takes time to import is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hw2tune import __version__
from hw2tune import cli_options as opt
from hw2tune.cli_data import data_app
from hw2tune.interrupt import INTERRUPTED
from hw2tune.replication import RACE

if TYPE_CHECKING:
    from hw2tune.execution.request import Request
    from hw2tune.report.write import ReportFiles

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hyperparameter studies for small vision networks, with claims that hold.",
)
app.add_typer(data_app, name="data")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"hw2tune {__version__}")
        raise typer.Exit


@app.callback()
def hw2tune(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; before or behind a command.")
    ] = False,
) -> None:
    """Declared for its options; `--debug` is taken out by `console.main`, wherever it stands."""


@app.command()
def study(
    name_or_file: opt.StudyName,
    trials: opt.Trials = None,
    budget: opt.Budget = None,
    max_epochs: opt.MaxEpochs = None,
    sampler: opt.Sampler = None,
    pruner: opt.Pruner = None,
    seed: opt.Seed = None,
    name: opt.Name = None,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
    address: opt.StudyAddress = None,
    attach: Annotated[bool, typer.Option("--attach", help="Follow a study that was handed over.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Print what a handed-over study has said so far.")] = False,
    retries: opt.Retries = 2,
    time_budget: opt.TimeBudget = None,
    warm_start: opt.WarmStart = None,
    fresh: Annotated[bool, typer.Option(help="Set a study of this name aside and start anew.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    summarize: Annotated[bool, typer.Option("--summarize", help="Replicate and report when it is done.")] = False,
    replicates: opt.Replicates = 5,
) -> None:
    """Run a study, or continue it: the same command goes on to --trials in all."""
    from hw2tune.execution.request import Request
    from hw2tune.execution.resources import ResourceRequest

    request = Request(
        study=name_or_file, overrides=opt.overrides(trials, budget, max_epochs, sampler, pruner, seed, name),
        resources=ResourceRequest(cpus_per_trial, gpus_per_trial, concurrency, address), results=results_dir,
        data_dir=data_dir, fresh=fresh, retries=retries, time_budget=time_budget, warm_start=warm_start,
    )  # fmt: skip
    if attach or logs or (address or "").startswith(("http://", "https://")):
        _submit(request, attach=attach, logs=logs, summarize=summarize, replicates=replicates, json=json, quiet=quiet)
    _run_study(request, replicates if summarize else None, json=json, quiet=quiet)


def _submit(
    request: Request, *, attach: bool, logs: bool, summarize: bool, replicates: int, json: bool, quiet: bool
) -> None:
    """Hands the same command to a cluster's job server; exits with its code."""
    from hw2tune.execution.submit import submit_study

    more = ["--summarize", "--replicates", str(replicates)] if summarize else []
    more += [flag for flag, given in (("--json", json), ("--quiet", quiet)) if given]
    raise typer.Exit(submit_study(request, more, attach=attach, logs=logs))


def _run_study(request: Request, replicates: int | None, *, json: bool, quiet: bool) -> None:
    """Runs a study and, with `replicates`, its report on the same Ray; prints what came of it."""
    from hw2tune.api import replicate_on, run_on
    from hw2tune.events import Listeners
    from hw2tune.execution.connection import Connection
    from hw2tune.search.driver import RunEnd
    from hw2tune.terminal.progress import progress
    from hw2tune.terminal.tables import print_json, print_outcome, stdout

    tell = Listeners()
    with Connection(request.resources, tell) as connection:
        with progress(quiet=quiet) as display:
            tell.listeners = [display]
            result = run_on(connection, request, tell)
        # What is printed comes behind the live display, which would draw over it.
        if not json:
            print_outcome(result.overview, stdout())
        elif replicates is None or result.end is not RunEnd.COMPLETE:
            print_json(result.overview)
        if result.end is RunEnd.OUT_OF_TIME:
            typer.echo(f"time budget of {request.time_budget:g} s used up; the same command continues", err=True)
        elif result.end is RunEnd.INTERRUPTED:
            raise typer.Exit(INTERRUPTED)
        elif replicates is not None:
            with progress(quiet=quiet) as display:
                tell.listeners = [display]
                report = replicate_on(
                    connection, [result.name], replicates=replicates, race=RACE, results=request.results,
                    data_dir=request.data_dir, output=None, tell=tell,
                )  # fmt: skip
            _print_report(report, open_page=False, json=json)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The new study; NAME.toml is written here.")],
    like: Annotated[
        str | None, typer.Option("--from", metavar="STUDY", help="Begin with one that hw2tune ships.")
    ] = None,
    images: Annotated[str | None, typer.Option(metavar="FOLDER", help="A folder of images, by class.")] = None,
    model: Annotated[str | None, typer.Option(metavar="FILE:NAME", help="A network of your own.")] = None,
) -> None:
    """Write a commented study file, and a network to begin with where none is named."""
    from hw2tune.study.template import new_files, write_new

    files = new_files(name, like=like, images=images, model=model)
    write_new(files)
    typer.echo(f"{' and '.join(files)} written; `hw2tune check {name}.toml` looks it over")


@app.command()
def check(
    name_or_file: opt.StudyName,
    trials: opt.Trials = None,
    budget: opt.Budget = None,
    max_epochs: opt.MaxEpochs = None,
    sampler: opt.Sampler = None,
    pruner: opt.Pruner = None,
    seed: opt.Seed = None,
    name: opt.Name = None,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
) -> None:
    """Check a study, its data and the resources, and estimate the cost; nothing is trained."""
    from hw2tune.api import check_study
    from hw2tune.execution.request import Request
    from hw2tune.execution.resources import ResourceRequest
    from hw2tune.terminal.plan import print_check
    from hw2tune.terminal.tables import stdout

    request = Request(
        study=name_or_file,
        overrides=opt.overrides(trials, budget, max_epochs, sampler, pruner, seed, name),
        results=results_dir,
        data_dir=data_dir,
        resources=ResourceRequest(cpus_per_trial, gpus_per_trial, concurrency),
    )
    print_check(*check_study(request), stdout())


@app.command()
def summarize(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Studies in the results.")] = None,
    replicates: opt.Replicates = 5,
    race: opt.Race = RACE,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
    address: opt.Address = None,
    from_files: opt.FromFiles = None,
    output: opt.Output = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Replicate what the claims name, test it, and write the report."""
    from hw2tune.api import replicate_study, report_from_files
    from hw2tune.report.outputs import checked_target
    from hw2tune.terminal.progress import progress

    target = None if output is None else checked_target(output)
    if from_files is not None:
        _print_report(report_from_files(from_files, target), open_page=open_page, json=json)
        return
    with progress(quiet=quiet) as tell:
        report = replicate_study(
            names or (), replicates=replicates, race=race, results_dir=results_dir, data_dir=data_dir,
            cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address,
            output=target, listeners=[tell],
        )  # fmt: skip
    _print_report(report, open_page=open_page, json=json)


@app.command()
def reproduce(
    what: Annotated[Literal["mnist", "cifar10", "all"], typer.Argument(help="Which published runs.")] = "all",
    replicates: opt.Replicates = 3,
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
    from hw2tune.terminal.tables import print_reproduction, stdout

    with progress(quiet=quiet) as tell:
        written = api.reproduce(
            what, replicates=replicates, max_epochs=max_epochs, results_dir=results_dir, data_dir=data_dir,
            cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address,
            output=output, listeners=[tell],
        )  # fmt: skip
    for each in written:
        print_reproduction(each, stdout())


def _print_report(files: ReportFiles, *, open_page: bool, json: bool) -> None:
    from hw2tune.terminal.tables import print_report, stdout

    if json:
        typer.echo(files.json.read_bytes())  # JSON is UTF-8 whatever the terminal's encoding is
    else:
        print_report(files, stdout())
    if open_page:
        typer.launch(files.page.resolve().as_uri())


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A study in the results; without it, all of them.")] = None,
    results_dir: opt.ResultsDir = "ray_results",
    json: opt.Json = False,
) -> None:
    """List the studies, or show one with every trial."""
    from hw2tune.records.overview import find_folder, read_overview, read_overviews
    from hw2tune.records.remote.mirror import reading
    from hw2tune.records.remote.store import shown
    from hw2tune.terminal.tables import print_json, print_status, print_studies, stdout

    results = reading(results_dir)
    if name is not None:
        overview = read_overview(find_folder(results, name))
        print_json(overview) if json else print_status(overview, stdout())
        return
    overviews, faults = read_overviews(results)
    print_json(overviews, faults) if json else print_studies(overviews, faults, stdout(), shown(results_dir))


@app.command()
def doctor(
    machine: Annotated[bool, typer.Option("--machine", help="Print what hw2tune sees of this machine.")] = False,
    data_dir: opt.DataDir = None,
) -> None:
    """Say what would stand in a study's way here; with --machine, what there is, for pasting into an issue."""
    from hw2tune.execution.doctor import facts, problems
    from hw2tune.terminal.tables import print_facts, stdout

    if machine:
        print_facts(facts(data_dir), stdout())
        return
    found = problems()
    for problem in found:
        typer.echo(f"- {problem}")
    if found:
        raise typer.Exit(1)
    typer.echo("nothing stands in a study's way here; --machine shows what there is")
