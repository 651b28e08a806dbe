"""`hw2tune status`: what lies in the results."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import options as opt


def status(
    name: opt.OneResult = None,
    results_dir: opt.ResultsDir = "ray_results",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing until the study ends, or Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="With --watch: how often.")] = 2.0,
    form: opt.Form = "table",
    json: opt.Json = False,
) -> None:
    """List the studies, or show one with every trial.

    With --watch it is drawn again in place, also before the study is there; on a pipe a line is printed for each
    change, with --format json one JSON object.
    """
    from hw2tune.records.overview import read_overview, read_overviews
    from hw2tune.records.remote.mirror import reading, reading_study
    from hw2tune.records.remote.store import shown
    from hw2tune.terminal import formats
    from hw2tune.terminal.tables import print_json, print_status, print_studies, stdout

    form = opt.chosen_form(form, json=json)
    if watch:
        _watch(name, results_dir, every=every, form=form)
        return
    if name is not None:
        overview = read_overview(reading_study(results_dir, name))
        match form:
            case "json":
                print_json(overview)
            case "csv":
                formats.print_trials_csv(overview)
            case _:
                print_status(overview, stdout())
        return
    overviews, faults = read_overviews(reading(results_dir))
    match form:
        case "json":
            print_json(overviews, faults)
        case "csv":
            formats.print_studies_csv(overviews, faults)
        case _:
            print_studies(overviews, faults, stdout(), shown(results_dir))


def _watch(name: str | None, results_dir: str, *, every: float, form: str) -> None:
    from hw2tune.terminal.tables import stdout
    from hw2tune.terminal.watch import look_at, watch

    if form == "csv":
        raise typer.BadParameter("--watch shows a table, or with --format json a line a change")
    watch(lambda: look_at(results_dir, name), every=every, one=name is not None, form=form, console=stdout())
