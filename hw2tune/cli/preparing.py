"""`hw2tune new`, `check`, `doctor` and `data`: what comes before a study."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import options as opt
from hw2tune.cli.help import HelpedCommand, HelpedGroup
from hw2tune.data.catalog import DATASETS
from hw2tune.terminal.streams import results, stdout


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new study; NAME.toml is written here.")],
    like: Annotated[
        str | None,
        typer.Option("--from", metavar="STUDY", help="Begin with one that hw2tune ships.", autocompletion=opt.shipped),
    ] = None,
    images: Annotated[str | None, typer.Option(metavar="FOLDER", help="A folder of images, by class.")] = None,
    model: Annotated[str | None, typer.Option(metavar="FILE:NAME", help="A network of your own.")] = None,
) -> None:
    """Write a commented study file, and a network to begin with where none is named."""
    from hw2tune.study.template import new_study

    files = new_study(name, like=like, images=images, model=model)
    typer.echo(f"{' and '.join(files)} written; `hw2tune check {name}.toml` looks it over", file=results())


def check(
    name_or_file: opt.StudyName,
    trials: opt.Trials = None,
    budget: opt.Budget = None,
    max_epochs: opt.MaxEpochs = None,
    sampler: opt.Sampler = None,
    pruner: opt.Pruner = None,
    order: opt.Order = None,
    slots: opt.Slots = None,
    seed: opt.Seed = None,
    searches: opt.Searches = None,
    name: opt.Name = None,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    trust: opt.Trust = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
) -> None:
    """Check a study, its data and the resources, and estimate the cost; nothing is trained."""
    from hw2tune.api import check_study
    from hw2tune.execution.request import Request
    from hw2tune.resources import ResourceRequest
    from hw2tune.terminal.plan import print_check

    overrides = {
        "trials": trials, "budget": budget, "max_epochs": max_epochs, "sampler.name": sampler, "pruner.name": pruner,
        "seed": seed, "name": name, "searches": searches, "order": order, "slots": slots,
    }  # fmt: skip
    resources = ResourceRequest(cpus_per_trial, gpus_per_trial, concurrency)
    request = Request(
        study=name_or_file, overrides=overrides, results=results_dir, data_dir=data_dir, resources=resources
    )
    print_check(*check_study(request), stdout())


def doctor(
    ctx: typer.Context,
    name: opt.Examined = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Print what this machine has, and measure its speed for `check`.")
    ] = False,
    results_dir: opt.ResultsDir = "ray_results",
    data_dir: opt.DataDir = None,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """Examine a study, or check this machine for problems.

    The findings on a study have their evidence and what to do; the exit code is 0 with findings too. With --machine,
    print the machine's details to paste into an issue, and measure both networks for two seconds a device with as many
    trainings at once as a study runs: `check` estimates by that from then on.
    """
    from hw2tune.execution.machine import machine_facts, machine_problems
    from hw2tune.execution.speeds import measure_machine
    from hw2tune.terminal.tables import print_findings, print_machine

    form = opt.chosen_form(form, json=json)
    if name is not None:
        if machine:
            raise typer.BadParameter("--machine is about this machine: name no study with it")
        why = "has no effect with the name of a study, which is examined by its records; leave one of them out"
        opt.refuse(ctx, why, "data_dir")
        from hw2tune.api import doctor as examine

        print_findings(name, examine(name, results_dir=results_dir), stdout(), form)
        return
    opt.needs(ctx, "the name of a study", "results_dir")
    if machine:
        print_machine(machine_facts(data_dir), measure_machine, stdout(), form)
        return
    if form != "table":
        raise typer.BadParameter("--format is for a study, or for --machine")
    opt.needs(ctx, "--machine", "data_dir")
    found = machine_problems()
    for problem in found:
        typer.echo(f"- {problem}", file=results())
    if found:
        raise typer.Exit(1)
    typer.echo("nothing stands in a study's way here; --machine shows what there is", file=results())


data_app = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, cls=HelpedGroup, help="List the data sets, or fetch one."
)


@data_app.callback()
def data(
    ctx: typer.Context,
    data_dir: opt.DataDir = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all that was found, and compare decoded images with their files.")
    ] = False,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """List the data sets and where each was found, or fetch one."""
    from hw2tune.data.load import list_datasets, verify_datasets
    from hw2tune.terminal.tables import print_datasets

    form = opt.chosen_form(form, json=json)
    if ctx.invoked_subcommand is not None:
        why = "has no effect before `fetch`, which takes --data-dir alone, and behind its name; leave it out"
        opt.refuse(ctx, why, "data_dir", "verify", "form", "json")
    else:
        statuses = (verify_datasets if verify else list_datasets)(data_dir=data_dir)
        print_datasets(statuses, stdout(), form)
        if verify and any(status.problem for status in statuses):
            raise typer.Exit(1)


@data_app.command("fetch", cls=HelpedCommand)
def fetch(
    name: Annotated[str, opt.named("A data set, mnist for example.", complete=opt.one_of(DATASETS))],
    data_dir: opt.NewDataDir = None,
) -> None:
    """Fetch a data set, or verify the copy that is there."""
    from hw2tune.data.load import fetch_dataset

    typer.echo(f"{name}: {fetch_dataset(name, data_dir=data_dir)}", file=results())
