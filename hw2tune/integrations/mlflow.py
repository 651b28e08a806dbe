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
from pathlib import Path
from typing import TYPE_CHECKING

from hw2tune.errors import LoggerError
from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.runs import LoggedRun, best_of, study_id
from hw2tune.loggers import silenced
from hw2tune.records.atomic import files_below
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.text.plain import first_line, without_secrets
from hw2tune.variables import settled

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

URI = "MLFLOW_TRACKING_URI"
# Tags: which study, which run of it, which training of this name, in which state.
STUDY, RUN, KEY, DIGEST = "hw2tune.study", "hw2tune.run", "hw2tune.key", "hw2tune.digest"
PARENT, PARENT_ID = "study", "mlflow.parentRunId"  # the value of RUN that the parent has; where the others name it
BATCH = 1000  # metrics that MLflow takes at once
NOTE = 5000  # characters of a tag that every store takes
CHECK = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


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

    def begin(self, overview: Overview) -> dict[str, str]:
        from mlflow import MlflowClient

        own = self.place(overview.folder).absolute()
        self.client = MlflowClient(tracking_uri=self.uri or own.as_uri())
        self.study_id = study_id(overview.folder)
        try:
            found = self._find(overview)
        except Exception:  # a kill tore one of the file store's own files
            if self.uri:
                raise
            found = None
        # A folder that was moved: artifacts would be written to its former place.
        if found is None or not (self.uri or self.experiment.artifact_location.startswith(f"{own.as_uri()}/")):
            for experiment in own.glob("[0-9]*"):
                shutil.rmtree(experiment)  # the records have it all
            found = self._find(overview)
        self.ids = {name: run.info.run_id for name, run in found.items()}
        self.sent: dict[str, LoggedRun] = {}  # by this process, of runs that have not ended
        self._begin_parent(overview, found)
        return {name: run.data.tags.get(DIGEST, "") for name, run in found.items()}

    def _find(self, overview: Overview) -> dict[str, Run]:
        self.experiment = self._experiment(overview.folder.name)
        return self._find_runs()

    def write(self, run: LoggedRun) -> None:
        sent = self.sent.pop(run.name, None)  # until all is sent it is not known what arrived
        continues = sent and sent.key == run.key and list(run.epochs[: len(sent.epochs)]) == list(sent.epochs)
        if not continues:
            self._begin_run(run)
        new = run.epochs[len(sent.epochs) if sent and continues else 0 :]
        points = [(name, value, epoch.time, epoch.number) for epoch in new for name, value in epoch.metrics.items()]
        at = run.epochs[-1].time if run.epochs else 0.0
        if run.ended:
            points += [(name, value, at, run.best_epoch or 0) for name, value in run.results.items()]
        self._log(run.name, points)
        if not run.ended:
            self.sent[run.name] = run
            return
        self._tag(run.name, {"state": run.state, "reason": run.reason})
        status = "FINISHED" if run.succeeded else "FAILED"
        self.client.set_terminated(self.ids[run.name], status, int(1000 * at) if run.epochs else None)
        self._tag(run.name, {DIGEST: run.digest})  # the last: it says that all is there

    def _begin_run(self, run: LoggedRun) -> None:
        if run.name in self.ids:
            self.client.delete_run(self.ids[run.name])
            del self.ids[run.name]
        tags = {KEY: run.key, "kind": run.kind, "label": run.label, PARENT_ID: self.ids[PARENT]}
        self._create(run.name, run.name, tags, int(1000 * run.epochs[0].time) if run.epochs else None)
        self._log_params(run.name, run.params)

    def end(self, overview: Overview) -> None:
        tags = {"state": "complete" if overview.is_complete else "interrupted"}
        best, name, report = overview.best, best_of(overview.study), overview.folder.root / "report"
        parent = self.client.get_run(self.ids[PARENT]).data
        if best is not None:
            if best.value is not None:
                tags["best trial"] = str(best.number)
                if parent.metrics.get(name) != best.value:
                    self._log(PARENT, [(name, best.value, time.time(), len(overview.finished))])
            trial = overview.folder.trial(best.number)
            files = [path for path in (trial.weights, trial.best, trial.params) if path.exists()]
            tags |= self._attach("best", files, trial.root, parent.tags)
        if (report / "summary.md").is_file():
            files = list(files_below(report))
            tags |= self._attach("report", files, report, parent.tags)
            tags["mlflow.note.content"] = (report / "summary.md").read_text(encoding="utf-8")[:NOTE]
        self._tag(PARENT, tags)
        for name, run in self._find_runs().items():
            if run.info.status == "RUNNING" and name != PARENT:
                self.client.set_terminated(run.info.run_id, "KILLED")
                self.sent.pop(name, None)
        self.client.set_terminated(self.ids[PARENT], "FINISHED" if overview.is_complete else "KILLED")

    def _begin_parent(self, overview: Overview, found: Mapping[str, Run]) -> None:
        study = overview.study
        if PARENT in found:
            self.client.update_run(self.ids[PARENT], status="RUNNING")
        else:
            self._create(PARENT, overview.folder.name, {"kind": PARENT})
        for name, run in found.items():  # somebody may have deleted the run that held them
            if name != PARENT and run.data.tags.get(PARENT_ID) != self.ids[PARENT]:
                self._tag(name, {PARENT_ID: self.ids[PARENT]})
        params = {
            "dataset": study.dataset, "model": study.model, "loss": study.loss, "objective": study.objective,
            "sampler": study.sampler.name, "pruner": study.pruner.name, "max_epochs": study.max_epochs,
            "seed": study.seed, "split_seed": study.split_seed,
        }  # fmt: skip
        known = found[PARENT].data.params if PARENT in found else {}
        self._log_params(PARENT, {name: value for name, value in params.items() if name not in known})

    def _log_params(self, name: str, params: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        if params:
            self.client.log_batch(self.ids[name], params=[Param(key, str(value)) for key, value in params.items()])

    def _log(self, name: str, points: Iterable[tuple[str, float, float, int]]) -> None:
        """Log metrics: name, value, time in seconds and step."""
        from mlflow.entities import Metric

        metrics = [Metric(metric, value, int(1000 * at), step) for metric, value, at, step in points]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(self.ids[name], metrics=metrics[first : first + BATCH])

    def _tag(self, name: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(self.ids[name], tags=[RunTag(key, value) for key, value in tags.items() if value])

    def _attach(self, name: str, files: Sequence[Path], root: Path, tags: Mapping[str, str]) -> dict[str, str]:
        """Attach files to the study's run, unless `tags` have the digest of their content. Return a tag with it."""
        content = hashlib.sha256()
        for path in sorted(files):
            content.update(str(path).encode() + path.read_bytes())
        if tags.get(tag := f"hw2tune.{name}") != content.hexdigest():
            for path in sorted(files):
                within = Path(name, path.parent.relative_to(root)).as_posix()
                self.client.log_artifact(self.ids[PARENT], str(path), within)
        return {tag: content.hexdigest()}

    def _create(self, name: str, shown: str, tags: Mapping[str, str], begun: int | None = None) -> None:
        """Create a run. A file store writes tags one by one: the study's tag is the last, and makes it a run."""
        ordered = {RUN: name, **{key: value for key, value in tags.items() if value}, STUDY: self.study_id}
        made = self.client.create_run(self.experiment.experiment_id, begun, ordered, shown)
        self.ids[name] = made.info.run_id

    def _find_runs(self) -> dict[str, Run]:
        """Return the study's runs in the store, by name. Deletes the remains of a run that a kill left half made."""
        found: dict[str, Run] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment.experiment_id], max_results=1000, page_token=token)
            for run in page:
                tags = run.data.tags
                if tags.get(STUDY) == self.study_id:
                    found.setdefault(tags.get(RUN, ""), run)
                elif not tags.get(STUDY) and not self.uri:  # on a server another process may be making it
                    self.client.delete_run(run.info.run_id)
            if not (token := page.token):
                return found

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


def _refuse_unreachable(uri: str) -> None:
    from mlflow import MlflowClient

    with settled(), silenced(*MLflowLogger.loggers):
        os.environ.update(CHECK)
        try:
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
        except Exception as error:  # each kind of store has its own
            cause: BaseException = error
            while deeper := cause.__cause__ or cause.__context__:
                cause = deeper
            raise LoggerError(
                f"--log mlflow: {URI} {without_secrets(uri)}: nothing to log to "
                f"({first_line(cause, type(cause).__name__)}); start the server, set another address, or unset it to "
                "log into the study's folder"
            ) from error
