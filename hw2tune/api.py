"""The functions of hw2tune: each command of the CLI is one of them, and `import hw2tune` offers them.

Progress goes to listeners (`hw2tune.events`), in a notebook to a live display where none are given; results come back
as a `StudyResult`, and what a user can mend is raised as an `Hw2tuneError`. The caller's environment, loggers, modules
and signal handlers are as before when a function returns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from hw2tune.errors import StudyFolderError
from hw2tune.events import Listener, Listeners, ReportWritten, StudyStarted
from hw2tune.execution import cleaning
from hw2tune.execution.request import Connection, Request, resolve
from hw2tune.records.layout import StudyFolder, folders_in
from hw2tune.records.overview import find_folder, read_overview, read_overviews
from hw2tune.records.remote.mirror import mirrored, reading, reading_study
from hw2tune.records.remote.store import shown
from hw2tune.records.stopping import Stop, stop_run
from hw2tune.resources import ResourceRequest
from hw2tune.search.cost import Cost
from hw2tune.study.names import RACE
from hw2tune.study.published import PROTOCOLS
from hw2tune.study.schema import Study
from hw2tune.study_result import StudyResult
from hw2tune.study_run import checked, run_on
from hw2tune.user_code.importer import callers_modules_kept, trusting
from hw2tune.variables import settled

if TYPE_CHECKING:
    from hw2tune.report.doctor.findings import Finding
    from hw2tune.report.reproduction.write import ReproductionReport
    from hw2tune.report.write import ReportFiles


class ResourceOptions(TypedDict, total=False):
    """Processors per trial, trials at once, and a running Ray cluster (`auto`, `host:port`), as `ResourceRequest`."""

    cpus_per_trial: float
    gpus_per_trial: float | None
    concurrency: int | None
    address: str | None


def load_study(
    study: str | Path, *, results_dir: str | Path = "ray_results", overrides: Mapping[str, Any] | None = None
) -> Study:
    """A study by its shipped name, by its name in the results, or by the path of its file.

    `overrides` lie over the file: `{"max_epochs": 3, "pruner.name": "none"}`. Raises StudyFileError with every fault.
    """
    return resolve(Request(study=str(study), overrides=overrides or {}, results=results_dir))


@callers_modules_kept()
def check_study(request: Request) -> tuple[StudyStarted, Cost, list[str]]:
    """Study, data and resources as `run_study` would find them, what it would cost, and notes. Raises Hw2tuneError."""
    return checked(request)


@callers_modules_kept()
def run_study(
    study: str | Path,
    *,
    trials: int | None = None,
    budget: int | None = None,
    max_epochs: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    fresh: bool = False,
    retries: int = 2,
    time_budget: float | None = None,
    warm_start: str | None = None,
    trust: Sequence[str] = (),
    listeners: Sequence[Listener] | None = None,
    **resources: Unpack[ResourceOptions],
) -> StudyResult:
    """Run a study until it holds its trials, or continues it there.

    `study` as in `load_study`; `trials`, `budget` (in whole trainings), `max_epochs`, `seed` and `name` lie over the
    file, as `overrides` do. `retries` is for trials whose worker, machine or memory gave out; `time_budget` is in
    seconds; `warm_start` names a study in the results whose finished trials the sampler shall know; `trust` names
    installed packages whose code the study may call; `resources` are `ResourceOptions`. Raises Hw2tuneError for what a
    user can mend, NoTrialFinishedError where every trial failed.
    """
    options = {"trials": trials, "budget": budget, "max_epochs": max_epochs, "seed": seed, "name": name}
    request = Request(
        study=str(study), overrides=options | dict(overrides or {}), results=results_dir, data_dir=data_dir,
        resources=_requested("run_study", resources), fresh=fresh, retries=retries, time_budget=time_budget,
        warm_start=warm_start,
    )  # fmt: skip
    with _connected(request.resources, trust, listeners) as connection:
        return run_on(connection, request, connection.tell)


def read_study(name: str, *, results_dir: str | Path = "ray_results") -> StudyResult:
    """A study that is there, also while it runs. Needs neither torch nor Ray. Raises StudyFolderError."""
    return StudyResult(read_overview(reading_study(results_dir, name)))


def doctor(name: str, *, results_dir: str | Path = "ray_results") -> list[Finding]:
    """Examine a study: the findings on its search and its replicates, none for a healthy one. Raises Hw2tuneError."""
    from hw2tune.report.doctor.examine import examine_folder

    return examine_folder(reading_study(results_dir, name))


def list_studies(*, results_dir: str | Path = "ray_results") -> tuple[list[StudyResult], dict[str, str]]:
    """Every study in the results, and by name the error of each that cannot be read. Needs neither torch nor Ray."""
    overviews, faults = read_overviews(reading(results_dir))
    return [StudyResult(overview) for overview in overviews], faults


def stop_study(
    name: str, *, results_dir: str | Path = "ray_results", now: bool = False, timeout: float = 120.0,
    listeners: Sequence[Listener] = (),
) -> Stop:  # fmt: skip
    """End the run of study `name` that another process of this machine is at, as Ctrl-C there would.

    Waits until the study is free, `timeout` seconds at most; `now` asks twice, which ends it at once. Where nothing
    runs, nothing is done. Raises StudyFolderError where the process is elsewhere, of another user, or does not end.
    """
    return stop_run(results_dir, name, now=now, timeout=timeout, say=Listeners(listeners).note)


def find_leftovers(
    names: Sequence[str] = (), *, results_dir: str | Path = "ray_results", kinds: Collection[str] = ()
) -> cleaning.Leftovers:
    """Find what can go of the named studies, or of all and of this machine, and the bytes freed. Changes nothing.

    `kinds` are of `records.leftovers.KINDS`; without any, all but "weights". Never named: what is needed to continue,
    report or claim, and whatever belongs to a study that runs. Raises StudyFolderError.
    """
    return cleaning.find(results_dir, names, kinds)


def remove_leftovers(leftovers: cleaning.Leftovers) -> cleaning.Leftovers:
    """Remove what `find_leftovers` found and still can go; return what has gone, with notes on what has not."""
    return cleaning.remove(leftovers)


def write_report(
    names: str | Sequence[str], *, results_dir: str | Path = "ray_results", output: Path | None = None
) -> ReportFiles:
    """Draw the report of studies from what is there; nothing is trained. Raises Hw2tuneError."""
    from hw2tune.report import write

    folders = [reading_study(results_dir, name) for name in ([names] if isinstance(names, str) else names)]
    return write.write_report(folders, output)


@callers_modules_kept()
def replicate_study(
    names: str | Sequence[str] = (),
    *,
    replicates: int | Literal["auto"] | None = None,
    most: int | None = None,
    splits: int | None = None,
    race: int = RACE,
    each_finalist: int = 0,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    output: Path | None = None,
    trust: Sequence[str] = (),
    listeners: Sequence[Listener] | None = None,
    connection: Connection | None = None,
    **resources: Unpack[ResourceOptions],
) -> ReportFiles:
    """Train what the claims of studies name on several seeds, test them, and write the report.

    `replicates` is a number of seeds, or "auto" for one more at a time, `most` at most, until every claim is decided or
    unlikely to be. With `splits` of 2 or more it is the number on each of so many splits of training and validation
    images. All three are the study file's by default. Without a name the only study in the results is meant. What is
    trained already is not trained again. The `race` best trials compete for the winner; the change of a claim is made
    in each of them on `each_finalist` further seeds and read on validation images. `trust` as in `run_study`. A
    `connection` that others use as well has resources and listeners of its own. Raises Hw2tuneError.
    """
    from hw2tune.replication.studies import chosen_folders, replicate_studies
    from hw2tune.report.outputs import default_target, refuse_unwritable
    from hw2tune.report.write import write_report

    names = [names] if isinstance(names, str) else names
    wanted = _requested("replicate_study", resources)  # with a connection too, as it refuses unknown options
    with contextlib.nullcontext(connection) if connection else _connected(wanted, trust, listeners) as connection:
        tell = connection.tell
        names = [folder.name for folder in chosen_folders(reading(results_dir, *names), names)]
        with mirrored(results_dir, names, tell.note) as here:
            folders = [find_folder(here, name) for name in names]
            refuse_unwritable(output or default_target(folders))  # before Ray's seconds and the trainings' hours
            replicate = partial(replicate_studies, replicates=replicates, most=most, splits=splits, race=race)
            overviews = replicate(
                folders, each_finalist=each_finalist, data_dir=data_dir, connection=connection, tell=tell
            )
            tell.stage("drawing the report")
            report = write_report(folders, output, overviews)
            tell(ReportWritten(folders=[str(folder.root) for folder in folders], target=str(report.page.parent)))
            return report


@callers_modules_kept()
def plan_replicates(
    names: str | Sequence[str] = (),
    *,
    replicates: int | Literal["auto"] | None = None,
    most: int | None = None,
    splits: int | None = None,
    race: int = RACE,
    each_finalist: int = 0,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    **resources: Unpack[ResourceOptions],
) -> list[tuple[StudyStarted, Cost]]:
    """Return what `replicate_study` would cost, and the smallest difference that it would see; nothing is trained.

    `Cost.replicates` has a row for 5, 7, 10 and 20 seeds, and for `replicates` or `most`; with `splits` a row for
    these. Raises Hw2tuneError.
    """
    from hw2tune.replication.studies import chosen_folders

    names, wanted = [names] if isinstance(names, str) else names, _requested("plan_replicates", resources)
    requests = [
        Request(study=str(folder.study_file), results=results_dir, data_dir=data_dir, resources=wanted)
        for folder in chosen_folders(reading(results_dir, *names), names)
    ]
    return [checked(request, replicates, most, race, each_finalist, splits)[:2] for request in requests]


@callers_modules_kept()
def reproduce(
    what: str = "all",
    *,
    replicates: int = 3,
    max_epochs: int | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    output: Path | None = None,
    listeners: Sequence[Listener] | None = None,
    **resources: Unpack[ResourceOptions],
) -> list[ReproductionReport]:
    """Repeat published runs exactly as published, `what` of `PROTOCOLS` or all, and write a report of each.

    Raises Hw2tuneError.
    """
    from hw2tune.replication.studies import reproduce_published, reproduction_name
    from hw2tune.report.outputs import each_target
    from hw2tune.report.reproduction.write import write_reproduction

    names = [reproduction_name(name, max_epochs) for name in (PROTOCOLS if what == "all" else [what])]
    with (
        _connected(_requested("reproduce", resources), (), listeners) as connection,
        mirrored(results_dir, names, connection.tell.note) as here,
    ):
        folders = [StudyFolder(here / name) for name in names]
        targets = each_target(folders, output)
        reproduce_published(
            folders, replicates=replicates, max_epochs=max_epochs, data_dir=data_dir, connection=connection,
            tell=connection.tell,
        )  # fmt: skip
        return [write_reproduction(one, target) for one, target in zip(folders, targets, strict=True)]


def report_from_files(place: str | Path, output: Path | None = None, names: Sequence[str] = ()) -> ReportFiles:
    """Draw the report of a study's folder, of a folder of studies or of a URL; with `names` of these studies alone.

    Raises Hw2tuneError.
    """
    from hw2tune.report import write

    there = {folder.name: folder for folder in folders_in(reading(place))}
    if unknown := [name for name in names if name not in there]:
        raise StudyFolderError(f"{shown(place)}: no study `{unknown[0]}`; it holds {', '.join(there)}")
    return write.write_report([there[name] for name in names or there], output)


def _requested(function: str, options: ResourceOptions) -> ResourceRequest:
    """Return the resources asked for. Raises TypeError, as Python for `function`, for an option that there is not."""
    if unknown := sorted(options.keys() - ResourceOptions.__annotations__.keys()):
        raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
    return ResourceRequest(**options)


@contextlib.contextmanager
def _connected(
    resources: ResourceRequest, trust: Sequence[str], listeners: Sequence[Listener] | None
) -> Iterator[Connection]:
    with settled(), trusting(trust), Connection(resources, _listening(listeners)) as connection:
        yield connection


def _listening(listeners: Sequence[Listener] | None) -> Listeners:
    """Those that were given; where none were, a display in a notebook and nothing elsewhere."""
    if listeners is None:
        from hw2tune.terminal.notebook import NotebookDisplay, in_notebook

        listeners = [NotebookDisplay()] if in_notebook() else []
    return Listeners(listeners)
