"""TensorBoard: an event file per run, with its curves and the hyperparameters and results of the hparams tab.

An event file is a function of the run, byte for byte, through TensorBoard's own RecordWriter. A kill leaves a beginning
of the file, to which the rest is appended. Any other content is replaced by a file with the next number, which
TensorBoard takes for newer.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.runs import LoggedRun, best_of
from hw2tune.records.atomic import write_atomically, writing
from hw2tune.records.layout import StudyFolder
from hw2tune.study.hyperparameters import HYPERPARAMETERS
from hw2tune.study.schema import Study

PREFIX = "events.out.tfevents."
# Train and validation of one quantity stand in one group of charts. What is not here keeps its name.
TAGS = {
    "train_loss": "loss/train", "validation_loss": "loss/validation",
    "train_accuracy": "accuracy/train", "validation_accuracy": "accuracy/validation",
    "train_seconds": "seconds/train", "epoch_seconds": "seconds/epoch", "images_per_second": "speed/images_per_second",
}  # fmt: skip


class TensorBoardLogger(RecordsLogger):
    """Writes `logs/tensorboard/<run>/` in the study's folder. `tensorboard --logdir` takes either, or all results."""

    name, library, loggers = "tensorboard", "tensorboard.summary", ("tensorboard",)

    def place(self, folder: StudyFolder) -> Path:
        return folder.logs / "tensorboard"

    def write(self, run: LoggedRun) -> None:
        if not (run.epochs or run.ended):
            return  # its first event would have no time yet
        bring_up_to_date(self.place(self.overview.folder) / run.name, event_file(self.overview.study, run))


def bring_up_to_date(folder: Path, content: bytes) -> None:
    """Make the event file in a folder hold `content`. Raises NotWritableError."""
    for part in folder.glob(f"{PREFIX}*.part"):  # a kill came within a write, and TensorBoard would read it too
        part.unlink()
    files = sorted(folder.glob(f"{PREFIX}*.hw2tune"))
    for old in files[:-1]:  # a kill came between the two steps below
        old.unlink()
    there = files[-1].read_bytes() if files else b""
    if files and content.startswith(there):
        with writing(files[-1], len(content)), files[-1].open("ab") as file:
            file.write(content[len(there) :])
        return
    number = int(files[-1].name.split(".")[3]) + 1 if files else 0
    write_atomically(folder / f"{PREFIX}{number:010}.hw2tune", content)
    for old in files[-1:]:
        old.unlink()


def event_file(study: Study, run: LoggedRun) -> bytes:
    """Return a run's event file: hyperparameters, epochs, and the results of an ended run."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo, SessionStartInfo

    begun, ended = (run.epochs[0].time, run.epochs[-1].time) if run.epochs else (0.0, 0.0)
    start = SessionStartInfo(group_name=run.name, start_time_secs=begun)
    for name, value in run.params.items():
        kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
        setattr(start.hparams[name], kind, value)
    parts = [
        _record(wall_time=0.0, file_version="brain.Event:2"),
        _plugin_data(begun, "experiment", _experiment(study)),
        _plugin_data(begun, "session_start_info", start),
    ]
    for epoch in run.epochs:
        tags = {TAGS.get(name, name): value for name, value in epoch.metrics.items()}
        parts.append(_scalars(epoch.time, epoch.number, tuple(tags.items())))
    if run.ended:
        results = {f"result/{name}": value for name, value in run.results.items()}
        end = SessionEndInfo(status=f"STATUS_{'SUCCESS' if run.succeeded else 'FAILURE'}", end_time_secs=ended)
        parts.append(_scalars(ended, run.best_epoch or 0, tuple(results.items())))
        parts.append(_plugin_data(ended, "session_end_info", end))
    return b"".join(parts)


@lru_cache(maxsize=1 << 16)  # of a running trial the epochs before are written again
def _scalars(time: float, step: int, values: tuple[tuple[str, float], ...]) -> bytes:
    from tensorboard.compat.proto.summary_pb2 import Summary

    # The values are float32: too large a value is infinite.
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
    return _record(wall_time=time, step=step, summary=summary)


def _experiment(study: Study) -> Any:
    """Return the columns of the hparams tab, the same in every run."""
    from tensorboard.plugins.hparams import api_pb2

    types = {"number": "FLOAT64", "integer": "FLOAT64", "text": "STRING", "switch": "BOOL"}
    sides: list[Iterable[str]] = [
        study.space,
        *study.references.values(),
        *(side.changes for side in study.variants.values()),
    ]
    columns = []
    for name in dict.fromkeys(name for side in sides for name in side):
        kind = HYPERPARAMETERS[name].kind if name in HYPERPARAMETERS else ""
        columns.append(api_pb2.HParamInfo(name=name, type=f"DATA_TYPE_{types.get(kind, 'UNSET')}"))
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"result/{name}"), display_name=name.replace("_", " "))
        for name in (best_of(study), "test_accuracy", "seconds")
    ]
    return api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)


def _plugin_data(time: float, what: str, message: Any) -> bytes:
    """An event as TensorBoard's hparams API writes it, but with the same bytes every time."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **{what: message})
    content = data.SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content)
    value = Summary.Value(
        tag=f"_hparams_/{what}", metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR
    )
    return _record(wall_time=time, summary=Summary(value=[value]))


def _record(**content: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    RecordWriter(buffer).write(Event(**content).SerializeToString(deterministic=True))
    return buffer.getvalue()
