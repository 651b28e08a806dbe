"""The request of a user: a study with options over it, its images, and Ray for the length of a `with`, if needed."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.data.dataset import Dataset
from hw2tune.data.load import load_undivided
from hw2tune.data.own import OwnOptions
from hw2tune.data.splits import overlap_caveat, refuse_overlap, with_fewer
from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution.machine import this_machine
from hw2tune.execution.metrics import ClusterMetrics
from hw2tune.interrupt import start_deaf_thread
from hw2tune.loggers import silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.remote.mirror import reading
from hw2tune.records.remote.store import is_url, shown
from hw2tune.resources import Capacity, ResourceRequest, find_capacity
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import NAME_PATTERN, Study
from hw2tune.user_code.files import is_own

if TYPE_CHECKING:
    from hw2tune.execution.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of a command. `overrides` lie over the study file: `max_epochs`, `pruner.name`, ...

    `retries` is for trials that failed in a way that may pass; `time_budget` is in seconds.
    """

    study: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    results: Path | str = Path("ray_results")  # or a URL
    data_dir: Path | None = None
    resources: ResourceRequest = field(default_factory=ResourceRequest)
    fresh: bool = False
    retries: int = 2
    time_budget: float | None = None
    warm_start: str | None = None  # the name of a study in the results


def resolve(request: Request) -> Study:
    """The study file with the options laid over it. Raises StudyFileError, and StudyFolderError for arms at a URL."""
    plain = re.fullmatch(NAME_PATTERN, request.study)  # it may stand in the results
    text, place = find_study(request.study, results=reading(request.results, request.study) if plain else None)
    given = {key: value for key, value in request.overrides.items() if value is not None}
    folder, file = StudyFolder(Path(place).parent), Path(place).name
    if file == folder.study_file.name and folder.is_arm:
        raise StudyFolderError(f"{place}: is of an arm; name its study, {folder.study_name}, which runs all of them")
    is_record = file == folder.study_file.name and folder.has_run
    if is_record:  # a folder may have been copied or renamed
        given = {"name": folder.name} | given

    def was_run(name: str) -> bool:
        there = is_record or StudyFolder(reading(request.results, name) / name).has_run
        return there and not request.fresh

    study = parse_study(text, place, given, was_run=was_run)
    if study.arms and is_url(request.results):
        raise StudyFolderError(
            f"{shown(request.results)}: a study with arms is not kept behind a URL; name a folder with --results-dir"
        )
    return study


def load_for(
    study: Study,
    data_dir: Path | None,
    tell: Listeners,
    *,
    validation_size: int | None = None,
    download: bool = True,
) -> Dataset:
    """The study's data set in the split that it asks for, or with another validation size.

    Raises DataError, also where two splits share pictures and the study file does not allow it: no claim could be made
    in the end.
    """
    return undivided_for(study, data_dir, tell, validation_size=validation_size, download=download)(study.split_seed)


def undivided_for(
    study: Study,
    data_dir: Path | None,
    tell: Listeners,
    *,
    validation_size: int | None = None,
    download: bool = True,
) -> Callable[[int], Dataset]:
    """Read the study's data set, and return the function that divides it by a split seed, as `load_for` does."""
    tell.stage(f"loading {study.dataset}")
    own = OwnOptions(
        test_share=study.test_share, resize=study.resize, tear_copies=bool(study.allow_overlap), code=study.code
    )
    divide = load_undivided(
        study.dataset,
        data_dir=data_dir,
        validation_size=study.validation_size if validation_size is None else validation_size,
        download=download,
        progress=lambda what, done, of: tell.stage(f"{what}: {done:,} of {of:,}"),
        own=own if is_own(study.dataset) else None,
    )

    def divided(seed: int) -> Dataset:
        data = divide(seed)
        if study.train_size is not None:
            data = with_fewer(data, study.train_size)
        if not study.allow_overlap:
            refuse_overlap(data)
            return data
        return replace(data, caveat=overlap_caveat(data, study.allow_overlap))

    return divided


class Connection(contextlib.ExitStack):
    """One Ray for all that is done within the `with`. Where nothing needs it, it is neither imported nor started."""

    def __init__(self, resources: ResourceRequest, tell: Listeners) -> None:
        super().__init__()
        self.resources, self.tell = resources, tell
        self.metrics: list[ClusterMetrics] = []  # listeners for whoever replaces those of `tell`
        self._cluster: Cluster | None = None

    def cluster(self, meanwhile: str = "") -> Cluster:
        """The cluster; `meanwhile` is a module to be imported while Ray starts, which is mostly waiting."""
        if self._cluster is None:
            address = self.resources.address
            self.tell.stage("starting Ray" if address is None else f"attaching to {address}")
            with silenced("ray.widgets.util"):  # where Ray is imported in a notebook it asks for ipywidgets
                from hw2tune.execution.cluster import connected
            if meanwhile and address is None:
                start_deaf_thread(partial(_imported, meanwhile))
            self._cluster = self.enter_context(connected(self.resources, self.tell.note))
            if address is not None:  # a Ray of the command's own exports no metrics
                from ray.util.metrics import Counter

                self.metrics = [ClusterMetrics(Counter)]
                self.tell.listeners += self.metrics
        return self._cluster

    def capacity(self) -> Capacity:
        """Capacity for trials: of this machine without starting anything, of machines that change by asking Ray."""
        here = self._cluster is None and not self.resources.machines_change
        return self._here if here else self.cluster().capacity()

    @cached_property
    def _here(self) -> Capacity:
        return find_capacity([this_machine()], self.resources)  # asks nvidia-smi, which takes up to seconds


def _imported(module: str) -> None:
    with contextlib.suppress(Exception):  # whatever it is, the import that waits for this one raises it again
        importlib.import_module(module)
