"""`hw2tune status`: what lies in the results."""

from __future__ import annotations

from typing import Annotated

import typer

from hw2tune.cli import options as opt


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
