"""MLflow: a parent run a study, in it a run a trial and replicate, through the client alone.

The store that MLFLOW_TRACKING_URI names, else `logs/mlruns` in the study's folder. A run is found again by its tags:
the study's own id, which lies beside the store, and the run's name. What the store holds of it is asked for once, and
what is missing is sent. MLflow takes nothing back, so a run that holds what the records do not (an epoch was trained
again) is deleted and written anew.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.errors import LoggerError
from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.mlflow_files import remove_torn
from hw2tune.integrations.runs import Run, best_of, study_id
from hw2tune.loggers import silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.text.plain import first_line, without_secrets
from hw2tune.variables import settled

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
# Tags: which study, which run of it, which training of this name, in which state.
STUDY, RUN, KEY, DIGEST = "hw2tune.study", "hw2tune.run", "hw2tune.key", "hw2tune.digest"
PARENT, PARENT_ID = "study", "mlflow.parentRunId"  # the value of RUN that the parent has; where the others name it
BATCH = 1000  # metrics that MLflow takes at once
NOTE = 5000  # characters of a tag that every store takes
CHECK = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

Point = tuple[str, int]  # a metric's name and step


@dataclass
class Stored:
    """A run in the store. `points` is None until it was asked for."""

    id: str
    key: str
    digest: str = ""
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    points: dict[Point, float] | None = None


class MLflowLogger(RecordsLogger):
    """Logs to the store that MLFLOW_TRACKING_URI names, else to `logs/mlruns` in the study's folder.

    Raises LoggerError where mlflow is not installed or the store does not answer.
    """

    name, library, loggers = "mlflow", "mlflow", ("mlflow", "alembic", "urllib3")

    def __init__(self) -> None:
        super().__init__()
        self.uri = os.environ.get(URI, "")
        if self.uri:
            _refuse_unreachable(self.uri)

    def place(self, folder: StudyFolder) -> Path:
        return folder.logs / "mlruns"

    def begin(self, overview: Overview) -> None:
        own = self.place(overview.folder).absolute()
        if not self.uri:
            remove_torn(own)
        self.client: MlflowClient = _client(self.uri or own.as_uri())
        self.study_id = study_id(overview.folder)
        self.experiment = self._experiment(overview.folder.name)
        self.stored = self._find_runs()
        self.parent = self._begin_parent(overview)

    def write(self, run: Run) -> None:
        there = self.stored.get(run.name)
        if there and there.digest == run.digest:
            return
        points = {(name, one.number): (value, one.time) for one in run.epochs for name, value in one.metrics.items()}
        if run.ended:
            last = run.epochs[-1] if run.epochs else None
            points |= {(k, run.best_epoch or 0): (v, last.time if last else 0.0) for k, v in run.results.items()}
        try:
            if there and not self._agrees(there, run, points):
                self.client.delete_run(there.id)
                there = None
            there = there or self._create(run.name, run.name, run)
            self._send(there, points, {name: str(value) for name, value in run.params.items()})
            self._close(there, run)
        except BaseException:  # also Ctrl-C: what arrived is not known
            self.stored.pop(run.name, None)
            raise

    def end(self, overview: Overview) -> None:
        tags = {"state": "complete" if overview.is_complete else "interrupted"}
        points: dict[Point, tuple[float, float]] = {}
        if (best := overview.best) is not None and best.value is not None:
            tags["best trial"] = str(best.number)
            points[best_of(overview.study), len(overview.finished)] = (best.value, time.time())
        known = self._points(self.parent)
        self._send(self.parent, {point: value for point, value in points.items() if point not in known}, {})
        if best is not None:
            trial = overview.folder.trial(best.number)
            self._attach("best", [path for path in (trial.best, trial.params) if path.exists()])
        if ((report := overview.folder.root / "report") / "summary.md").is_file():
            self._attach("report", [path for path in report.rglob("*") if path.is_file()], report)
            tags["mlflow.note.content"] = (report / "summary.md").read_text(encoding="utf-8")[:NOTE]
        self._tag(self.parent, tags)
        for there in self.stored.values():
            if there.status == "RUNNING" and there is not self.parent:
                self._set_status(there, "KILLED")
        self._set_status(self.parent, "FINISHED" if overview.is_complete else "KILLED")

    def _begin_parent(self, overview: Overview) -> Stored:
        study, name = overview.study, overview.folder.name
        parent = self.stored.get(PARENT) or self._create(PARENT, name, None)
        self._set_status(parent, "RUNNING")
        for there in self.stored.values():  # somebody may have deleted the run that held them
            if there is not parent and there.tags.get(PARENT_ID) != parent.id:
                self._tag(there, {PARENT_ID: parent.id})
        params = {
            "dataset": study.dataset, "model": study.model, "loss": study.loss, "objective": study.objective,
            "sampler": study.sampler.name, "pruner": study.pruner.name, "max_epochs": study.max_epochs,
            "seed": study.seed, "split_seed": study.split_seed,
        }  # fmt: skip
        self._send(parent, {}, {key: str(value) for key, value in params.items()})
        return parent

    def _agrees(self, there: Stored, run: Run, points: Mapping[Point, tuple[float, float]]) -> bool:
        """Whether the store holds nothing of the run that the records do not."""
        same_params = all(str(run.params.get(name)) == value for name, value in there.params.items())
        known = self._points(there)
        return (
            there.key == run.key
            and same_params
            and all(point in points and _equal(value, points[point][0]) for point, value in known.items())
        )

    def _points(self, there: Stored) -> dict[Point, float]:
        """The metrics that the store holds of a run; one that it holds twice counts as another value."""
        if there.points is None:
            points: dict[Point, float] = {}
            for name in there.metrics:
                for one in self.client.get_metric_history(there.id, name):
                    points[name, one.step] = one.value if (name, one.step) not in points else math.inf
            there.points = points
        return there.points

    def _send(self, there: Stored, points: Mapping[Point, tuple[float, float]], params: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param

        new = [Param(name, value) for name, value in params.items() if name not in there.params]
        if new:
            self.client.log_batch(there.id, params=new)
            there.params |= params
        known = self._points(there)
        missing = {point: value for point, value in points.items() if point not in known}
        metrics = [Metric(name, value, int(1000 * at), step) for (name, step), (value, at) in missing.items()]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(there.id, metrics=metrics[first : first + BATCH])
        known.update({point: value for point, (value, _) in missing.items()})

    def _close(self, there: Stored, run: Run) -> None:
        """Says how a run ended; the digest last, as it says that all is there."""
        if not run.ended:
            self._set_status(there, "RUNNING")
            return
        self._tag(there, {"state": run.state, "reason": run.reason})
        ended = int(1000 * run.epochs[-1].time) if run.epochs else None
        self._set_status(there, "FINISHED" if run.succeeded else "FAILED", ended)
        self._tag(there, {DIGEST: run.digest})
        there.digest = run.digest

    def _tag(self, there: Stored, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(there.id, tags=[RunTag(key, value) for key, value in tags.items() if value])

    def _set_status(self, there: Stored, status: str, ended: int | None = None) -> None:
        if status == there.status:
            return
        if status == "RUNNING":
            self.client.update_run(there.id, status=status)
        else:
            self.client.set_terminated(there.id, status, ended)
        there.status = status

    def _attach(self, name: str, files: Sequence[Path], root: Path | None = None) -> None:
        """Makes files artifacts of the study's run, unless these very files are."""
        content = hashlib.sha256()
        for path in sorted(files):
            content.update(str(path).encode() + path.read_bytes())
        tag = f"hw2tune.{name}"
        if self.parent.tags.get(tag) == content.hexdigest():
            return
        for path in sorted(files):
            within = path.parent.relative_to(root).as_posix() if root else "."
            self.client.log_artifact(self.parent.id, str(path), name if within == "." else f"{name}/{within}")
        self._tag(self.parent, {tag: content.hexdigest()})
        self.parent.tags[tag] = content.hexdigest()

    def _create(self, name: str, shown: str, run: Run | None) -> Stored:
        """A new run. A file store writes tags one by one: the study's is the last, and without it a run is none."""
        tags = {RUN: name, KEY: "", "kind": PARENT}
        if run:
            tags |= {KEY: run.key, "kind": run.kind, "label": run.label, PARENT_ID: self.parent.id}
        begun = int(1000 * run.epochs[0].time) if run and run.epochs else None
        made = self.client.create_run(
            self.experiment, begun, {key: value for key, value in tags.items() if value} | {STUDY: self.study_id}, shown
        )
        there = self.stored[name] = Stored(id=made.info.run_id, key=tags[KEY], points={})
        return there

    def _find_runs(self) -> dict[str, Stored]:
        """The study's runs in the store, by name. What a kill has left of making one is removed."""
        found: dict[str, Stored] = {}
        for run in self._every_run():
            tags = run.data.tags
            if tags.get(STUDY) == self.study_id and tags.get(RUN) not in found:
                found[tags[RUN]] = Stored(
                    id=run.info.run_id, key=tags.get(KEY, ""), digest=tags.get(DIGEST, ""), status=run.info.status,
                    params=dict(run.data.params), metrics=list(run.data.metrics), tags=tags,
                )  # fmt: skip
            elif not tags.get(STUDY) and not self.uri:  # on a server it may be one that another process is making
                self.client.delete_run(run.info.run_id)
        return found

    def _every_run(self) -> Iterable[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _experiment(self, name: str) -> str:
        """The number of the experiment: MLFLOW_EXPERIMENT_ID, else that of this name, made if there is none."""
        if self.uri and (number := os.environ.get("MLFLOW_EXPERIMENT_ID")):
            return str(self.client.get_experiment(number).experiment_id)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
        there = self.client.get_experiment_by_name(name)
        if there is None:
            return str(self.client.create_experiment(name))
        if there.lifecycle_stage == "deleted":
            self.client.restore_experiment(there.experiment_id)
        return str(there.experiment_id)


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _refuse_unreachable(uri: str) -> None:
    with settled(), silenced(*MLflowLogger.loggers):
        os.environ.update(CHECK)
        try:
            _client(uri).search_experiments(max_results=1)
        except Exception as error:  # each kind of store has its own
            raise LoggerError(
                f"--log mlflow: {URI} {without_secrets(uri)}: nothing to log to ({_cause(error)}); start the server, "
                "set another address, or unset it to log into the study's folder"
            ) from error


def _cause(error: BaseException) -> str:
    """The first error of a chain, in one line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return first_line(error, type(error).__name__)


def _equal(one: float, other: float) -> bool:
    """MLflow's stores keep numbers exactly, but each has its own way with those that are not finite."""
    return one == other or not (math.isfinite(one) and math.isfinite(other))
