"""The options that several commands share, each declared once, and what a shell completes them with.

Each press of Tab starts a process, so what takes time to import is not imported, and what is wrong is said by the
command and not here.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hw2tune.integrations import CSV_IS_GONE, LOGGERS
from hw2tune.paths import existing_folder, folder, results_folder
from hw2tune.study.names import PRUNERS, SAMPLERS, shipped_studies
from hw2tune.text.plain import seconds
from hw2tune.user_code.importer import trusting


def one_of(names: Collection[str]) -> Callable[[str], list[str]]:
    """Complete one of these names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


shipped = one_of(shipped_studies())


def results(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a study in the results, of --results-dir where that was typed before."""
    from hw2tune.errors import Hw2tuneError
    from hw2tune.records.layout import study_folders

    place = str(ctx.params.get("results_dir") or "ray_results")
    if "://" in place:  # to look there takes seconds
        return []
    try:
        there = [folder.name for folder in study_folders(Path(place).expanduser())]
    except Hw2tuneError:
        return []
    named = ctx.params.get("names") or ()
    return [name for name in there if name.startswith(incomplete) and name not in named]


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete STUDY: one that ships, one in the results, a .toml file here or in a folder that was begun."""
    begun = glob.escape(incomplete)
    files = sorted({*glob.glob(f"{begun}*.toml"), *(glob.glob(f"{begun}*/*.toml") if incomplete else [])})  # noqa: PTH207  # as it was typed
    mine = [file for file in files if Path(file).name != "pyproject.toml"]
    return list(dict.fromkeys([*shipped(incomplete), *results(ctx, incomplete), *mine]))


def named(help: str, metavar: str = "NAME", complete: Callable[..., list[str]] = results) -> Any:
    """Return an argument for names, of studies in the results unless `complete` completes others."""
    return typer.Argument(metavar=metavar, help=help, autocompletion=complete)


def number(help: str, least: int = 1) -> Any:
    """Return an option that takes a whole number."""
    return typer.Option(min=least, metavar="N", help=help)


def _data_dir(check: Callable[[Path, str], Path], help: str) -> Any:
    return typer.Option(
        "--data-dir", metavar="DIR", callback=lambda place: place and check(place, "--data-dir"), help=help
    )


def _algorithm(what: str, names: Collection[str]) -> Any:
    help = f"{what}: {', '.join(names)}, or package.module:Class."
    return typer.Option(metavar="NAME", help=help, autocompletion=one_of(names))


def _loggers(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if name == "csv":
            raise typer.BadParameter(CSV_IS_GONE)
        if name not in LOGGERS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, LOGGERS))}.")
    return names


def _seeds(text: str) -> str | int:
    if text == "auto" or (text.isdecimal() and int(text) >= 1):
        return text if text == "auto" else int(text)
    raise typer.BadParameter(f"{text!r} is neither auto nor a number of seeds from 1 on.")


StudyName = Annotated[str, named("A study that hw2tune ships, one in the results, or a .toml file.", "STUDY", studies)]
ResultsName = Annotated[str, named("A study in the results.")]
Results = Annotated[list[str] | None, named("Studies in the results.")]
OneResult = Annotated[str | None, named("A study in the results; without it, all of them.")]
Examined = Annotated[str | None, named("A study in the results; without it, this machine is checked.")]
ResultsDir = Annotated[
    str,
    typer.Option(
        "--results-dir",
        metavar="DIR",
        is_eager=True,  # names are completed by it
        callback=lambda place: place if "://" in place else str(results_folder(place)),
        help="Where studies are kept: a folder, or a URL such as s3://bucket/studies.",
    ),
]
DataDir = Annotated[
    Path | None,
    _data_dir(existing_folder, "Where to look for data first; else HW2TUNE_DATA, else the cache."),
]
NewDataDir = Annotated[
    Path | None,
    _data_dir(folder, "Where to put data that is nowhere yet; else HW2TUNE_DATA, else the cache."),
]
FromFiles = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        callback=lambda place: (
            place if place is None or "://" in place else str(existing_folder(place, "--from-files"))
        ),
        help="Redraw from a study's folder or a URL of studies, of which NAMEs choose; trains nothing, and needs "
        "neither torch nor Ray.",
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
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="PACKAGE",
        callback=lambda context, names: context.with_resource(trusting(names or ())) and names,
        help="Let the study call installed code of this package; may be given several times.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Form = Annotated[
    Literal["table", "json", "csv"],
    typer.Option("--format", help="How it is printed; json and csv have raw numbers. --json is short for json."),
]
Trials = Annotated[int | None, number("Trials in the study in all; its references are the first.")]
Budget = Annotated[
    int | None, number("Epochs of search and race, as so many whole trials; then trials as many as fit.")
]
MaxEpochs = Annotated[int | None, number("Epochs of a trial at most.")]
Sampler = Annotated[str | None, _algorithm("What chooses configurations", SAMPLERS)]
Pruner = Annotated[str | None, _algorithm("What stops unpromising trials", PRUNERS)]
Order = Annotated[
    Literal["arrival", "virtual"] | None,
    typer.Option(help="Order in which results count; virtual makes the same study the same again."),
]
Slots = Annotated[int | None, number("Parallel trials that --order virtual assumes; by default as many as fit.")]
WarmStart = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A study in the results whose finished trials the sampler shall know.",
        autocompletion=results,
    ),
]
Searches = Annotated[int | None, number("Searches of each arm of a study, each on a seed of its own.")]
Arm = Annotated[
    str | None, typer.Option(metavar="ARM", help="An arm of the study; a further search of one is ARM.2, ARM.3, ...")
]
Seed = Annotated[int | None, number("Seed of sampler, weights and order of images.", 0)]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="The study's name in the results.")]
CpusPerTrial = Annotated[float, typer.Option(min=0.01, metavar="X", help="CPUs that a trial gets.")]
GpusPerTrial = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="X", help="GPUs that a trial gets; by default a quarter where there is one."),
]
Concurrency = Annotated[int | None, number("Trials at once; by default as many as fit.")]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="LIBRARY",
        help="Log trials and replicates to tensorboard, mlflow or wandb too; may be given several times.",
        callback=_loggers,
        autocompletion=one_of(LOGGERS),
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing while it runs.")]
Replicates = Annotated[
    Any,  # typer takes no union; a number, "auto" or None
    typer.Option(
        parser=_seeds,
        metavar="auto|N",
        help="Seeds of each variant: a number, or auto for one more until every claim is decided; by default the "
        "study file's.",
    ),
]
Most = Annotated[int | None, number("Seeds at most with --replicates auto; by default the study file's, which is 20.")]
Splits = Annotated[
    int | None,
    number(
        "Splits of training and validation images, drawn anew, with --replicates seeds on each; by default the study "
        "file's, which is 1."
    ),
]
EachFinalist = Annotated[
    int,
    number(
        "Make the change of a claim in each finalist of the race, too, on so many further seeds, and read it on "
        "validation images; 0 for none.",
        0,
    ),
]
TimeBudget = Annotated[
    float | None,
    typer.Option(parser=seconds, metavar="DURATION", help="Stop in order after this long, as 90s, 30m or 1h30m."),
]
Retries = Annotated[int, number("More attempts for a trial whose worker died or whose memory gave out.", 0)]
Race = Annotated[
    int, number("The best trials that race, on seeds of their own, for the winner; at most a third of all.")
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST", help="A running Ray cluster: auto, or host:port of its head.")
]
StudyAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        help="A running Ray cluster: auto, host:port of its head, or http://head:8265 to hand the study over.",
    ),
]


def refuse(ctx: typer.Context, reason: str, *names: str) -> None:
    """Raise BadParameter, with its value and `reason`, for the first of the named parameters that was given."""
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name in names and source is not None and source.name == "COMMANDLINE":
            value = ctx.params[param.name]
            values = value if isinstance(value, list) else [] if value is True or value is None else [value]
            raise typer.BadParameter(f"{' '.join(map(str, [param.opts[0], *values]))}: {reason}")


def needs(ctx: typer.Context, other: str, *names: str) -> None:
    """Raise BadParameter for the first of the named parameters that was given without `other`."""
    for name in names:
        option = f"--{name.replace('_', '-')}"
        refuse(ctx, f"goes with {other}; add {other}, or leave {option} out", name)


def with_arm(name: str | None, arm: str | None) -> str | None:
    """Return the name of a study, or of one of its arms. Raises BadParameter for an arm of no study."""
    if arm and not name:
        raise typer.BadParameter("--arm goes with the name of a study")
    return f"{name}/{arm}" if arm else name


def chosen_form(form: Literal["table", "json", "csv"], *, json: bool) -> Literal["table", "json", "csv"]:
    """Return the format that --format and --json ask for. Raises BadParameter if they disagree."""
    if json and form == "csv":
        raise typer.BadParameter("--json and --format csv exclude each other")
    return "json" if json else form
