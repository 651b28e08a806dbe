"""`hw2tune submit`: `hw2tune study` as jobs of SLURM."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hw2tune.cli import options as opt
from hw2tune.terminal.streams import results
from hw2tune.text.plain import seconds

if TYPE_CHECKING:
    from typer._click.core import Context

STUDYS_OPTIONS = {"ignore_unknown_options": True}  # are words to submit
# Options of study that a job cannot have, and why.
NOT_HERE = {
    **dict.fromkeys(
        ("address", "open_to_others", "port", "token_file", "attach", "logs"),
        "the jobs have a Ray of their own, which the driver opens and the tasks join",
    ),
    "fresh": "a driver that is requeued would begin anew each time; take another --name, or set the study aside with "
    "`hw2tune study --fresh --trials 1` first",
    "dashboard": "the study runs on another machine; `hw2tune dashboard` shows its results from here",
}


def _limit(help: str) -> Any:
    return typer.Option(parser=seconds, metavar="DURATION", help=help)


def _of_sbatch(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, help=help)


def submit(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        opt.named("A study, with the options of `hw2tune study`, --trials for example.", "STUDY", opt.studies),
    ],
    array: Annotated[int, opt.number("Tasks of the job array, each of which adds its node to the study.")],
    time: Annotated[float, _limit("Limit of a task, as 30m, 1h or 1h30m; it is requeued until the study is complete.")],
    driver_time: Annotated[
        float | None, _limit("Limit of the driver, a job of one CPU, which is requeued as well; by default --time.")
    ] = None,
    cpus_per_task: Annotated[int, opt.number("CPUs of a task.")] = 1,
    gres: Annotated[str | None, _of_sbatch("GRES", "Generic resources of a task, as gpu:1.")] = None,
    mem: Annotated[str | None, _of_sbatch("SIZE", "Memory of a task and of the driver, as 8G.")] = None,
    account: Annotated[str | None, _of_sbatch("NAME", "Account that the jobs are charged to.")] = None,
    partition: Annotated[str | None, _of_sbatch("NAME", "Partition that the jobs run in.")] = None,
) -> None:
    """Submit a study to SLURM: a small job that drives it, and an array of tasks whose nodes run its trials.

    Tasks come and go as SLURM lets them: each ends in order before its limit, is requeued and joins again, and so is
    the driver. The same command continues a study whose jobs have ended.
    """
    from hw2tune.cli.running import requested
    from hw2tune.execution.request import resolve
    from hw2tune.execution.slurm import Allocation, submit
    from hw2tune.text.numbers import counted

    with _as_study(ctx, words) as study:
        request = requested(study.params)
        name, place = resolve(request).name, str(request.results)
    shared = {"account": account, "partition": partition, "mem": mem}
    allocation = Allocation(
        tasks=array, seconds=time, driver_seconds=driver_time or time, cpus_per_task=cpus_per_task, gres=gres,
        shared={option: value for option, value in shared.items() if value is not None},
    )  # fmt: skip
    jobs = submit(name, place, words, allocation)
    at = [] if place == "ray_results" else ["--results-dir", place]
    for line in (
        f"submitted {name}: driver {jobs.driver}, {counted(array, 'task')} {jobs.array}",
        f"logs: {jobs.folder}",
        f"follow: {shlex.join(['hw2tune', 'status', name, '--watch', *at])}",
        f"cancel: scancel {jobs.driver} {jobs.array}",
    ):
        typer.echo(line, file=results())


def _as_study(ctx: typer.Context, words: list[str]) -> Context:
    """Parse the words as `hw2tune study` does. Raises UsageError, BadParameter."""
    assert ctx.parent is not None
    study: TyperCommand = ctx.parent.command.get_command(ctx.parent, "study")  # type: ignore[attr-defined]  # a group
    parsed = study.make_context("submit", list(words), parent=ctx.parent)
    for param in study.params:
        given = parsed.params[param.name] != param.get_default(parsed)
        if given and param.name in NOT_HERE:
            parsed.close()
            raise typer.BadParameter(f"{param.opts[0]} does not go with submit: {NOT_HERE[param.name]}")
    return parsed
