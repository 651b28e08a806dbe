"""`hw2tune dashboard`: studies in the browser."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hw2tune.cli import options as opt
from hw2tune.interrupt import end_no_more
from hw2tune.terminal.streams import results
from hw2tune.text.plain import printable

if TYPE_CHECKING:
    from hw2tune.execution.request import Request


def dashboard(
    names: opt.Results = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port on this machine.", show_default="a free one"),
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


@contextlib.contextmanager
def dashboard_beside(request: Request) -> Iterator[None]:
    """Serves the study that `request` runs, from now on to the end of the `with`, and prints the URL."""
    from hw2tune.execution.request import resolve
    from hw2tune.integrations.dashboard.folders import ShownFolders
    from hw2tune.integrations.dashboard.server import serving

    with serving(ShownFolders(request.results, [resolve(request).name])) as url:
        typer.echo(f"dashboard: {url} (it ends with this command)", err=True)
        yield
