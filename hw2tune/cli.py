"""The commands. Each is declared here, calls one function, and prints; what takes time to import is imported inside."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hw2tune import __version__
from hw2tune.errors import Hw2tuneError, InterruptedByUserError
from hw2tune.interrupt import INTERRUPTED, end_as_ctrl_c, end_no_more
from hw2tune.paths import existing_folder, folder, results_folder
from hw2tune.terminal.streams import make_streams_last
from hw2tune.text.durations import seconds
from hw2tune.variables import settle

if TYPE_CHECKING:
    from hw2tune.execution.resources import Wish
    from hw2tune.report.write import ReportFiles

RACE = 3  # trials that race for the winner unless told otherwise


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hyperparameter studies for small vision networks, with claims that hold.",
    epilog="`--debug` behind any command shows the traceback of an error.",
)
data_app = typer.Typer(invoke_without_command=True, help="List the data sets, or fetch one.")
app.add_typer(data_app, name="data")

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="quickstart, mnist, cifar10, a study in the results, or a .toml file.")
]
ResultsDir = Annotated[
    str,
    typer.Option(
        "--results-dir",
        callback=lambda place: place if "://" in place else str(results_folder(place)),
        help="Where studies are kept: a folder, or a URL such as s3://bucket/studies.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        callback=lambda place: place and existing_folder(place, "--data-dir"),
        help="Where to look for data first; else HW2TUNE_DATA, else the cache.",
    ),
]
NewDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        callback=lambda place: place and folder(place, "--data-dir"),
        help="Where to put data that is nowhere yet; else HW2TUNE_DATA, else the cache.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=lambda place: folder(place, "--output"),
        help="Write the report into this folder, not beside the study.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Trials = Annotated[int | None, typer.Option(min=2, help="Trials in the study in all; the published two are 0 and 1.")]
MaxEpochs = Annotated[int | None, typer.Option(min=1, help="Epochs of a trial at most.")]
Sampler = Annotated[Literal["tpe", "random"] | None, typer.Option(help="What chooses configurations.")]
Pruner = Annotated[Literal["asha", "median", "none"] | None, typer.Option(help="What stops unpromising trials.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of sampler, weights and order of images.")]
Name = Annotated[str | None, typer.Option(help="The study's name in the results.")]
CpusPerTrial = Annotated[float, typer.Option(min=0.01, help="CPUs that a trial gets.")]
GpusPerTrial = Annotated[
    float | None, typer.Option(min=0.0, help="GPUs that a trial gets; by default a quarter where there is one.")
]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Trials at once; by default as many as fit.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing while it runs.")]
Replicates = Annotated[int, typer.Option(min=1, help="Seeds that each variant is trained on.")]
TimeBudget = Annotated[
    float | None,
    typer.Option(parser=seconds, metavar="DURATION", help="Stop in order after this long, as 90s, 30m or 1h30m."),
]
Retries = Annotated[
    int, typer.Option(min=0, help="More attempts for a trial whose worker, machine or memory gave out.")
]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster: auto, or host:port of its head.")]
StudyAddress = Annotated[
    str | None,
    typer.Option(
        help="A running Ray cluster: auto, host:port of its head, or http://head:8265 to hand the study over."
    ),
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"hw2tune {__version__}")
        raise typer.Exit


@app.callback()
def hw2tune(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Declared for `--version`."""


@app.command()
def study(
    name_or_file: StudyName,
    trials: Trials = None,
    max_epochs: MaxEpochs = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    seed: Seed = None,
    name: Name = None,
    results_dir: ResultsDir = "ray_results",
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    concurrency: Concurrency = None,
    address: StudyAddress = None,
    attach: Annotated[bool, typer.Option("--attach", help="Follow a study that was handed over.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Print what a handed-over study has said so far.")] = False,
    retries: Retries = 2,
    time_budget: TimeBudget = None,
    fresh: Annotated[bool, typer.Option(help="Set a study of this name aside and start anew.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    summarize: Annotated[bool, typer.Option("--summarize", help="Replicate and report when it is done.")] = False,
    replicates: Replicates = 5,
) -> None:
    """Run a study, or continue it: the same command goes on to --trials in all."""
    from hw2tune.api import run
    from hw2tune.execution.request import Request
    from hw2tune.execution.resources import Wish
    from hw2tune.execution.submit import hand_over
    from hw2tune.records.trials.states import INTERRUPTED as STOPPED
    from hw2tune.terminal.progress import progress
    from hw2tune.terminal.tables import print_json, print_outcome, stdout

    request = Request(
        study=name_or_file,
        overrides=_overrides(trials, max_epochs, sampler, pruner, seed, name),
        results=results_dir,
        data_dir=data_dir,
        wish=Wish(
            cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address
        ),
        fresh=fresh,
        retries=retries,
        time_budget=time_budget,
    )
    if attach or logs or (address or "").startswith(("http://", "https://")):
        more = ["--summarize", "--replicates", str(replicates)] if summarize else []
        more += [flag for flag, given in (("--json", json), ("--quiet", quiet)) if given]
        raise typer.Exit(hand_over(request, more, attach=attach, logs=logs))
    with progress(quiet=quiet) as observer:
        overview, out_of_time = run(request, observer)
    if json and not summarize:
        print_json(overview)
    elif not json:
        print_outcome(overview, stdout())
    if out_of_time:
        typer.echo(f"time budget of {time_budget:g} s used up; the same command continues", err=True)
        return
    if overview.state == STOPPED:
        raise typer.Exit(INTERRUPTED)
    if summarize:
        _summarize(
            [overview.folder.name], results_dir, replicates, RACE, data_dir, request.wish, None,
            open_page=False, json=json, quiet=quiet,
        )  # fmt: skip


@app.command()
def check(
    name_or_file: StudyName,
    trials: Trials = None,
    max_epochs: MaxEpochs = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    seed: Seed = None,
    name: Name = None,
    results_dir: ResultsDir = "ray_results",
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    concurrency: Concurrency = None,
) -> None:
    """Check a study, its data and the resources, and estimate the cost; nothing is trained."""
    from hw2tune.api import check as check_study
    from hw2tune.execution.request import Request
    from hw2tune.execution.resources import Wish
    from hw2tune.terminal.plan import print_check
    from hw2tune.terminal.tables import stdout

    request = Request(
        study=name_or_file,
        overrides=_overrides(trials, max_epochs, sampler, pruner, seed, name),
        results=results_dir,
        data_dir=data_dir,
        wish=Wish(cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency),
    )
    print_check(*check_study(request), stdout())


@app.command()
def summarize(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Studies in the results.")] = None,
    replicates: Replicates = 5,
    race: Annotated[int, typer.Option(min=1, help="The best trials that race over the seeds for the winner.")] = RACE,
    results_dir: ResultsDir = "ray_results",
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    concurrency: Concurrency = None,
    address: Address = None,
    from_files: Annotated[
        str | None,
        typer.Option(
            help="Redraw from a study's folder or a URL of studies; trains nothing and needs neither torch nor Ray."
        ),
    ] = None,
    output: Output = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Replicate baseline, L2 and the tuned winner, test them, and write the report."""
    from hw2tune.execution.resources import Wish
    from hw2tune.records.layout import folders_in
    from hw2tune.records.remote.mirror import reading
    from hw2tune.report.write import write_report

    target = None if output is None else _checked(output)
    if from_files is not None:
        place = from_files if "://" in from_files else existing_folder(from_files, "--from-files")
        _print_report(write_report(folders_in(reading(place)), target), open_page=open_page, json=json)
        return
    wish = Wish(cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address)
    _summarize(
        names or [], results_dir, replicates, race, data_dir, wish, target,
        open_page=open_page, json=json, quiet=quiet,
    )  # fmt: skip


@app.command()
def reproduce(
    what: Annotated[Literal["mnist", "cifar10", "all"], typer.Argument(help="Which published runs.")] = "all",
    replicates: Replicates = 3,
    max_epochs: MaxEpochs = None,
    results_dir: ResultsDir = "ray_results",
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    concurrency: Concurrency = None,
    address: Address = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Repeat the published runs exactly as published, and hold the numbers beside the held-out test images."""
    from hw2tune.execution.resources import Wish
    from hw2tune.records.layout import StudyFolder
    from hw2tune.records.remote.mirror import mirrored
    from hw2tune.replication.summarize import reproduce_published, reproduction_name
    from hw2tune.report.outputs import default_target, refuse_unwritable
    from hw2tune.report.reproduction.write import write_reproduction
    from hw2tune.terminal.progress import progress
    from hw2tune.terminal.tables import print_reproduction, stdout

    wish = Wish(cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrency=concurrency, address=address)
    names = [reproduction_name(name, max_epochs) for name in (["mnist", "cifar10"] if what == "all" else [what])]
    with progress(quiet=quiet) as observer, mirrored(results_dir, names, observer.note) as here:
        folders = [StudyFolder(here / name) for name in names]
        if output is None:
            targets = [default_target([one]) for one in folders]
        else:
            targets = [_checked(output if len(folders) == 1 else output / one.name) for one in folders]
        for target in targets:
            refuse_unwritable(target)
        reproduce_published(
            folders, replicates=replicates, max_epochs=max_epochs, data_dir=data_dir, wish=wish, observer=observer
        )
        written = [write_reproduction(one, target) for one, target in zip(folders, targets, strict=True)]
    for each in written:
        print_reproduction(each, stdout())


def _summarize(
    names: list[str], results: str, replicates: int, race: int, data_dir: Path | None, wish: Wish, target: Path | None,
    *, open_page: bool, json: bool, quiet: bool,
) -> None:  # fmt: skip
    from hw2tune.records.layout import StudyFolder
    from hw2tune.records.remote.mirror import mirrored, reading
    from hw2tune.replication.summarize import chosen_folders, replicate_studies
    from hw2tune.report.outputs import default_target, refuse_unwritable
    from hw2tune.report.write import write_report
    from hw2tune.terminal.progress import progress

    names = [folder.name for folder in chosen_folders(reading(results), names)]
    with progress(quiet=quiet) as observer, mirrored(results, names, observer.note) as here:
        folders = [StudyFolder(here / name) for name in names]
        refuse_unwritable(target or default_target(folders))  # before Ray's seconds and the trainings' hours
        replicate_studies(folders, replicates=replicates, race=race, data_dir=data_dir, wish=wish, observer=observer)
        observer.stage("drawing the report")
        files = write_report(folders, target)
    _print_report(files, open_page=open_page, json=json)


def _checked(target: Path) -> Path:
    """A folder that was asked for, if a report can stand there. Raises Hw2tuneError."""
    from hw2tune.report.outputs import refuse_foreign, refuse_unwritable

    refuse_unwritable(target)
    refuse_foreign(target)
    return target


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
    results_dir: ResultsDir = "ray_results",
    json: Json = False,
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
    data_dir: DataDir = None,
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


@data_app.callback()
def data(ctx: typer.Context, data_dir: DataDir = None) -> None:
    """List the data sets and where each was found, or fetch one."""
    from hw2tune.data.load import list_datasets
    from hw2tune.terminal.tables import print_datasets, stdout

    if ctx.invoked_subcommand is None:
        print_datasets(list_datasets(data_dir=data_dir), stdout())


@data_app.command("fetch")
def fetch(name: Annotated[str, typer.Argument(help="mnist or cifar10.")], data_dir: NewDataDir = None) -> None:
    """Fetch a data set, or verify the copy that is there."""
    from hw2tune.data.load import fetch_dataset

    typer.echo(f"{name}: {fetch_dataset(name, data_dir=data_dir)}")


def _overrides(
    trials: int | None, max_epochs: int | None, sampler: str | None, pruner: str | None, seed: int | None,
    name: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Options by the study file's keys; None where the file's own value stays."""
    return {
        "trials": trials,
        "max_epochs": max_epochs,
        "sampler": sampler,
        "pruner.name": pruner,
        "seed": seed,
        "name": name,
    }


def main() -> None:
    """The console script: an error that a user can mend is one line on stderr, and the exit code says which kind."""
    settle(os.environ)
    end_as_ctrl_c()
    make_streams_last()
    debug = "--debug" in sys.argv
    warnings.simplefilter("default" if debug else "ignore")  # of libraries: users of hw2tune can do nothing about them
    code = _run([argument for argument in sys.argv[1:] if argument != "--debug"], debug=debug)
    end_no_more()
    sys.exit(code)


def _run(arguments: list[str], *, debug: bool) -> int:
    """Runs a command and returns the exit code."""
    try:
        app(args=arguments)
    except (KeyboardInterrupt, SystemExit) as end:
        if _interrupted(end):
            return _tell(InterruptedByUserError("interrupted; what is finished is kept, the same command goes on"))
        return end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _tell(error)
    return 0


def _interrupted(end: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is behind it: Typer ends an interrupted command with 130, and without a word."""
    while end is not None and not isinstance(end, KeyboardInterrupt):
        end = end.__cause__ or end.__context__
    return end is not None


def _tell(error: Exception) -> int:
    """Prints an error in one line and returns the exit code."""
    if isinstance(error, Hw2tuneError):
        print(f"hw2tune: {error}", file=sys.stderr)
        return error.exit_code
    first_line = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"hw2tune: our fault: {first_line}; --debug shows where", file=sys.stderr)
    return 1
