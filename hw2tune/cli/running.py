"""`hw2tune study`: runs a study, or continues it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hw2tune.cli import options as opt
from hw2tune.cli.dashboard import dashboard_beside
from hw2tune.cli.reports import make_loggers, print_files
from hw2tune.errors import InterruptedByUserError
from hw2tune.interrupt import INTERRUPTED_TEXT
from hw2tune.study.names import RACE
from hw2tune.terminal.streams import results

if TYPE_CHECKING:
    from hw2tune.execution.request import Request
    from hw2tune.study_result import StudyResult


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
    trust: opt.Trust = None,
    cpus_per_trial: opt.CpusPerTrial = 1.0,
    gpus_per_trial: opt.GpusPerTrial = None,
    concurrency: opt.Concurrency = None,
    address: opt.StudyAddress = None,
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
    replicates: opt.Replicates = 5,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Show it in the browser while it runs.")] = False,
) -> None:
    """Run a study, or continue it: the same command goes on to --trials in all."""
    from hw2tune.execution.request import Request, resolve
    from hw2tune.resources import ResourceRequest

    request = Request(
        study=name_or_file, overrides=opt.overrides(trials, budget, max_epochs, sampler, pruner, seed, name),
        resources=ResourceRequest(cpus_per_trial, gpus_per_trial, concurrency, address), results=results_dir,
        data_dir=data_dir, fresh=fresh, retries=retries, time_budget=time_budget, warm_start=warm_start,
    )  # fmt: skip
    if dashboard and "://" in (address or ""):
        raise typer.BadParameter("a study that is handed over runs elsewhere; `hw2tune dashboard` shows its results")
    if attach or logs or (address or "").startswith(("http://", "https://")):
        _submit(
            request, log or (), attach=attach, logs=logs, summarize=summarize, replicates=replicates, json=json,
            quiet=quiet,
        )  # fmt: skip
    # Here and not above: a study that is handed over needs none of these, which take time.
    from hw2tune.api import replicate_on
    from hw2tune.events import Listeners
    from hw2tune.execution.connection import Connection
    from hw2tune.study_run import run_on
    from hw2tune.terminal.progress import progress

    with dashboard_beside(request) if dashboard else contextlib.nullcontext():
        loggers = make_loggers(log, request.results, [resolve(request).name]) if log else []
        tell = Listeners()
        with Connection(request.resources, tell) as connection:
            with progress(quiet=quiet) as display:
                tell.listeners = [display, *loggers]
                result = run_on(connection, request, tell)
            # The result is printed behind the live display, which would draw over it.
            if _print_search(result, request, summarize=summarize, json=json) and summarize:
                with progress(quiet=quiet) as display:
                    tell.listeners = [display, *loggers]
                    report = replicate_on(
                        connection, [result.name], replicates=replicates, race=RACE, results=request.results,
                        data_dir=request.data_dir, output=None, tell=tell,
                    )  # fmt: skip
                print_files(report, open_page=False, json=json)


def _submit(
    request: Request, log: Sequence[str], *, attach: bool, logs: bool, summarize: bool, replicates: int, json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Hand the same command to a cluster's job server; exit with its code."""
    from hw2tune.execution.jobs import submit_study

    more = ["--summarize", "--replicates", str(replicates)] if summarize else []
    more += [word for name in log for word in ("--log", name)]
    more += [flag for flag, given in (("--json", json), ("--quiet", quiet)) if given]
    raise typer.Exit(submit_study(request, more, attach=attach, logs=logs, out=results()))


def _print_search(result: StudyResult, request: Request, *, summarize: bool, json: bool) -> bool:
    """Print the search's outcome and return whether it is complete. Raises InterruptedByUserError."""
    from hw2tune.search.driver import RunEnd
    from hw2tune.terminal.tables import print_json, print_outcome, stdout

    if not json:
        print_outcome(result.overview, stdout())
    elif not summarize or result.end is not RunEnd.COMPLETE:
        print_json(result.overview)
    if result.end is RunEnd.OUT_OF_TIME:
        unfinished = " in the search: no report yet" if summarize else ""
        text = f"time budget of {request.time_budget:g} s used up{unfinished}; the same command continues"
        typer.echo(text, err=True)
    elif result.end is RunEnd.INTERRUPTED:
        raise InterruptedByUserError(INTERRUPTED_TEXT)
    return result.end is not RunEnd.OUT_OF_TIME
