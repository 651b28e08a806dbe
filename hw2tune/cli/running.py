"""`hw2tune study`, which runs a study or continues it, and `hw2tune dashboard`, which shows studies in the browser."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hw2tune.cli import options as opt
from hw2tune.cli.reports import make_loggers, print_files
from hw2tune.errors import InterruptedByUserError
from hw2tune.interrupt import INTERRUPTED_TEXT, end_no_more
from hw2tune.terminal.streams import results, stdout
from hw2tune.text.plain import printable

if TYPE_CHECKING:
    from hw2tune.execution.request import Request
    from hw2tune.resources import Opening
    from hw2tune.study_result import StudyResult


def study(
    ctx: typer.Context,
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
    address: opt.StudyAddress = None,
    open_to_others: Annotated[
        bool, typer.Option("--open", help="Let other machines join by `hw2tune join`, and say how.")
    ] = False,
    port: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="With --open, where; by default a free port.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --open, the file of its token; by default one in the cache."),
    ] = None,
    attach: Annotated[bool, typer.Option("--attach", help="Follow a study that was handed over.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Print what a handed-over study has said so far.")] = False,
    retries: opt.Retries = 2,
    time_budget: opt.TimeBudget = None,
    warm_start: opt.WarmStart = None,
    log: opt.Log = None,
    fresh: Annotated[bool, typer.Option(help="Set a study of this name aside and start anew.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    summarize: Annotated[bool, typer.Option("--summarize", help="Replicate and report when it is done.")] = False,
    replicates: opt.Replicates = None,
    most: opt.Most = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Show it in the browser while it runs.")] = False,
) -> None:
    """Run a study, or continue it: the same command goes on to --trials in all."""
    from hw2tune.execution.request import resolve

    request = requested(ctx.params)
    if dashboard and "://" in (address or ""):
        raise typer.BadParameter("a study that is handed over runs elsewhere; `hw2tune dashboard` shows its results")
    if attach or logs or (address or "").startswith(("http://", "https://")):
        raise typer.Exit(_submit(request, ctx.params))
    # Here and not above: a study that is handed over needs none of these, which take time.
    from hw2tune.api import replicate_study
    from hw2tune.events import Listeners
    from hw2tune.execution.request import Connection
    from hw2tune.study_run import run_on
    from hw2tune.terminal.progress import progress

    with _dashboard_beside(request) if dashboard else contextlib.nullcontext():
        loggers = make_loggers(log, request.results, [resolve(request).name]) if log else []
        tell = Listeners()
        with Connection(request.resources, tell) as connection:
            with progress(quiet=quiet) as display:
                tell.listeners = [display, *loggers]
                result = run_on(connection, request, tell)
            # The result is printed behind the live display, which would draw over it.
            if _print_search(result, request, summarize=summarize, json=json) and summarize:
                with progress(quiet=quiet) as display:
                    tell.listeners = [display, *loggers, *connection.metrics]
                    report = replicate_study(
                        result.name, replicates=replicates, most=most, results_dir=results_dir, data_dir=data_dir,
                        connection=connection,
                    )  # fmt: skip
                print_files(report, open_page=False, json=json)


def requested(given: Mapping[str, Any]) -> Request:
    """Return what the options of `hw2tune study` ask for. Raises BadParameter for some that do not go together."""
    from hw2tune.execution.request import Request
    from hw2tune.resources import ResourceRequest

    named = ("trials", "budget", "max_epochs", "seed", "name", "searches", "order", "slots")
    overrides = {name: given[name] for name in named}
    overrides |= {"sampler.name": given["sampler"], "pruner.name": given["pruner"]}
    for option in ("replicates", "most"):
        if given[option] is not None and not given["summarize"]:
            fix = f"add --summarize, or leave --{option} out"
            raise typer.BadParameter(f"--{option} {given[option]}: goes with --summarize; {fix}")
    opening = _opening(**{name: given[name] for name in ("open_to_others", "address", "port", "token_file")})
    return Request(
        study=given["name_or_file"], overrides=overrides, results=given["results_dir"], data_dir=given["data_dir"],
        resources=ResourceRequest(
            given["cpus_per_trial"], given["gpus_per_trial"], given["concurrency"], given["address"], opening
        ),
        fresh=given["fresh"], retries=given["retries"], time_budget=given["time_budget"],
        warm_start=given["warm_start"],
    )  # fmt: skip


def _opening(*, open_to_others: bool, address: str | None, port: str | None, token_file: Path | None) -> Opening | None:
    """Return how other machines may join. Raises BadParameter for options that do not go together."""
    from hw2tune.resources import Opening

    if open_to_others and address is not None:
        raise typer.BadParameter("--open is for a Ray that is started here; others join that of --address by itself")
    if not open_to_others and (port is not None or token_file is not None):
        raise typer.BadParameter("--port and --token-file go with --open")
    host, _, number = (port or "0").rpartition(":")
    if not (number.isdecimal() and int(number) < 2**16):
        raise typer.BadParameter(f"--port {port}: neither a port, 1 to 65535, nor HOST:PORT")
    return Opening(host, int(number), token_file) if open_to_others else None


def join(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="As `hw2tune study --open` says it.")],
    token_file: Annotated[Path, typer.Option(metavar="FILE", help="The file of its token, or a copy of it.")],
    cpus: Annotated[
        int | None, opt.number("CPUs to give, of which each trial takes some; by default all that are granted here.")
    ] = None,
    gpus: Annotated[int | None, opt.number("GPUs to give; by default all.", 0)] = None,
) -> None:
    """Let the trials of a study on another machine run here, too, until it ends. Ctrl-C takes this machine away."""
    from hw2tune.execution.joining import join

    end = join(address, token_file, note=lambda text: typer.echo(text, err=True), cpus=cpus, gpus=gpus)
    typer.echo(f"left {address}: {end.value}", err=True)


def _submit(request: Request, given: Mapping[str, Any]) -> int:
    """Hand the same command to a cluster's job server; return its exit code."""
    from hw2tune.execution.jobs import submit_study

    more = ["--summarize"] if given["summarize"] else []
    more += [
        word for name in ("replicates", "most") if given[name] is not None for word in (f"--{name}", str(given[name]))
    ]
    more += [word for library in given["log"] or () for word in ("--log", library)]
    more += [f"--{flag}" for flag in ("json", "quiet") if given[flag]]
    return submit_study(request, more, attach=given["attach"], logs=given["logs"], out=results())


def _print_search(result: StudyResult, request: Request, *, summarize: bool, json: bool) -> bool:
    """Print the search's outcome and return whether it is complete. Raises InterruptedByUserError."""
    from hw2tune.search.driver import RunEnd
    from hw2tune.terminal.formats import print_json
    from hw2tune.terminal.tables import print_outcome

    if not json:
        print_outcome(result.overview, stdout())
    elif not summarize or result.end is not RunEnd.COMPLETE:
        print_json(result.overview.as_json())
    if result.end is RunEnd.OUT_OF_TIME:
        unfinished = " in the search: no report yet" if summarize else ""
        text = f"time budget of {request.time_budget:g} s used up{unfinished}; the same command continues"
        typer.echo(text, err=True)
    elif result.end is RunEnd.INTERRUPTED:
        raise InterruptedByUserError(INTERRUPTED_TEXT)
    return result.end is not RunEnd.OUT_OF_TIME


@contextlib.contextmanager
def _dashboard_beside(request: Request) -> Iterator[None]:
    """Serve the study that `request` runs to the end of the `with`, and print the URL."""
    from hw2tune.execution.request import resolve
    from hw2tune.integrations.dashboard.folders import ShownFolders
    from hw2tune.integrations.dashboard.server import serving

    with serving(ShownFolders(request.results, [resolve(request).name])) as url:
        typer.echo(f"dashboard: {url} (it ends with this command)", err=True)
        yield


def dashboard(
    names: opt.Results = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port on this machine.", show_default="a free one")
    ] = 0,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    results_dir: opt.ResultsDir = "ray_results",
) -> None:
    """Show studies in the browser with optuna-dashboard, while they run and after; changes nothing. Ctrl-C ends it."""
    from hw2tune.integrations.dashboard.folders import ShownFolders
    from hw2tune.integrations.dashboard.server import refuse_missing, serving

    refuse_missing()
    folders = ShownFolders(results_dir, names or ())
    folders.refuse_none()
    for name, fault in folders.faults.items():
        typer.echo(printable(f"{name} is left out: {fault}"), err=True)
    with serving(folders, port=port) as url:
        typer.echo(f"dashboard: {url} (Ctrl-C ends it)", file=results())
        if open_page:
            typer.launch(url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            end_no_more()  # `timeout` sends its signal twice
