"""MLflow: a parent run per study, in it a run per trial and replicate, through the client only.

The store is the one in MLFLOW_TRACKING_URI, else `logs/mlruns` in the study's folder. A run is found again by its tags:
the study's own id, which is next to the store, and the run's name. An ended run with the digest of the records is
complete. Any other run that this process did not write is deleted and written again: MLflow takes nothing back.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.errors import LoggerError
from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.runs import Epoch, Run, best_of, study_id
from hw2tune.loggers import silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.text.plain import first_line, without_secrets
from hw2tune.variables import settled

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

URI = "MLFLOW_TRACKING_URI"
# Tags: which study, which run of it, which training of this name, in which state.
STUDY, RUN, KEY, DIGEST = "hw2tune.study", "hw2tune.run", "hw2tune.key", "hw2tune.digest"
PARENT, PARENT_ID = "study", "mlflow.parentRunId"  # the value of RUN that the parent has; where the others name it
BATCH = 1000  # metrics that MLflow takes at once
NOTE = 5000  # characters of a tag that every store takes
Point = tuple[str, float, float, int]  # a metric's name, value, time in seconds and step
CHECK = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@dataclass
class Stored:
    """A run in the store. `epochs` were sent by this process; None for an ended run or another process's."""

    id: str
    key: str
    digest: str = ""
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    epochs: list[Epoch] | None = None


class MLflowLogger(RecordsLogger):
    """Logs to the store that MLFLOW_TRACKING_URI names, else to `logs/mlruns` in the study's folder.

    Raises LoggerError if mlflow is not installed or the store does not answer.
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
        self.client: MlflowClient = _client(self.uri or own.as_uri())
        self.study_id = study_id(overview.folder)
        try:
            self._open(overview)
        except Exception:  # a kill tore one of the file store's own files
            if self.uri:
                raise
            self._clear(own)
            self._open(overview)
        if not self.uri and not self.experiment.artifact_location.startswith(f"{own.as_uri()}/"):
            self._clear(own)  # the folder was moved: artifacts would be written to its former place
            self._open(overview)
        self.parent = self._begin_parent(overview)

    def _open(self, overview: Overview) -> None:
        self.experiment = self._experiment(overview.folder.name)
        self.stored = self._find_runs()

    @staticmethod
    def _clear(store: Path) -> None:
        """Empty the study's own store: the records have it all."""
        for experiment in store.glob("[0-9]*"):
            shutil.rmtree(experiment)

    def write(self, run: Run) -> None:
        there = self.stored.get(run.name)
        if there and there.digest == run.digest:
            return
        if there and not self._continues(there, run):
            self.client.delete_run(there.id)
            there = None
        there = there or self._create(run.name, run.name, run)
        sent, there.epochs = there.epochs or [], None  # until all is sent it is not known what arrived
        new = list(run.epochs[len(sent) :])
        points = [(name, value, epoch.time, epoch.number) for epoch in new for name, value in epoch.metrics.items()]
        if run.ended:
            at = run.epochs[-1].time if run.epochs else 0.0
            points += [(name, value, at, run.best_epoch or 0) for name, value in run.results.items()]
        self._send(there, points, {name: str(value) for name, value in run.params.items()})
        if run.ended:
            self._close(there, run)
        else:
            self._set_status(there, "RUNNING")
            there.epochs = [*sent, *new]

    @staticmethod
    def _continues(there: Stored, run: Run) -> bool:
        """Return whether the run in the store is a beginning of the run."""
        sent = there.epochs
        return sent is not None and there.key == run.key and list(run.epochs[: len(sent)]) == sent

    def end(self, overview: Overview) -> None:
        tags = {"state": "complete" if overview.is_complete else "interrupted"}
        best, name = overview.best, best_of(overview.study)
        if best is not None and best.value is not None:
            tags["best trial"] = str(best.number)
            if self.parent.metrics.get(name) != best.value:
                self._send(self.parent, [(name, best.value, time.time(), len(overview.finished))], {})
                self.parent.metrics[name] = best.value
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
        self._send(parent, [], {key: str(value) for key, value in params.items()})
        return parent

    def _send(self, there: Stored, points: Sequence[Point], params: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param

        new = [Param(name, value) for name, value in params.items() if name not in there.params]
        if new:
            self.client.log_batch(there.id, params=new)
            there.params |= params
        metrics = [Metric(name, value, int(1000 * at), step) for name, value, at, step in points]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(there.id, metrics=metrics[first : first + BATCH])

    def _close(self, there: Stored, run: Run) -> None:
        """Log how a run ended. The digest is last: it says that all is there."""
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
        """Attach files to the study's run, unless the same content is attached."""
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
        """Create a run. A file store writes tags one by one: the study's tag is the last, and makes it a run."""
        tags = {RUN: name, KEY: "", "kind": PARENT}
        if run:
            tags |= {KEY: run.key, "kind": run.kind, "label": run.label, PARENT_ID: self.parent.id}
        begun = int(1000 * run.epochs[0].time) if run and run.epochs else None
        made = self.client.create_run(
            self.experiment.experiment_id,
            begun,
            {key: value for key, value in tags.items() if value} | {STUDY: self.study_id},
            shown,
        )
        there = self.stored[name] = Stored(id=made.info.run_id, key=run.key if run else "", epochs=[])
        return there

    def _find_runs(self) -> dict[str, Stored]:
        """Return the study's runs in the store, by name. Deletes the remains of a run that a kill left half made."""
        found: dict[str, Stored] = {}
        for run in self._every_run():
            tags = run.data.tags
            if tags.get(STUDY) == self.study_id and tags.get(RUN) not in found:
                found[tags[RUN]] = Stored(
                    id=run.info.run_id, key=tags.get(KEY, ""), digest=tags.get(DIGEST, ""), status=run.info.status,
                    params=dict(run.data.params), metrics=dict(run.data.metrics), tags=tags,
                )  # fmt: skip
            elif not tags.get(STUDY) and not self.uri:  # on a server it may be one that another process is making
                self.client.delete_run(run.info.run_id)
        return found

    def _every_run(self) -> Iterable[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment.experiment_id], max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _experiment(self, name: str) -> Experiment:
        """The experiment in MLFLOW_EXPERIMENT_ID, else the one of this name, made if it does not exist."""
        if self.uri and (number := os.environ.get("MLFLOW_EXPERIMENT_ID")):
            return self.client.get_experiment(number)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
        there = self.client.get_experiment_by_name(name)
        if there is None:
            return self.client.get_experiment(self.client.create_experiment(name))
        if there.lifecycle_stage == "deleted":
            self.client.restore_experiment(there.experiment_id)
        return there


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
