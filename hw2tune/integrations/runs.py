"""The runs of a study as loggers show them: each trial, each replicate, each training of a race."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hw2tune.paths import safe_name
from hw2tune.records.atomic import write_atomically
from hw2tune.records.damaged import read_record
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import Replicate, ReplicatesFolder, Training, every_replicate, read_replicates
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, DIVERGED, INTERRUPTED, RANKED, RUNNING, WAITING
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study_result import EPOCH_COLUMNS

_ID_LOCK = threading.Lock()
RACE = "race: "  # what the label of a training in the race begins with


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a run. `metrics` by the names of `StudyResult.epochs`: losses in nats, accuracies as fractions."""

    number: int  # from 1
    time: float  # when it ended, in seconds since 1970
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training as loggers show it. Two of one `name` with another `key` are different trainings.

    `results` are known when it has `ended`: the best value of the objective, seconds, and of a replicate its test
    accuracy.
    """

    kind: Literal["trial", "replicate", "race"]
    name: str  # trial-0003-baseline, tuned-seed-2
    key: str
    label: str
    params: Mapping[str, Value]
    state: str
    reason: str = ""
    epochs: Sequence[Epoch] = ()
    results: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    ended: bool = False

    @property
    def succeeded(self) -> bool:
        """Return whether the run was trained to its end or pruned."""
        return self.state.split(" at ")[0] in RANKED

    def with_epoch(self, epoch: Epoch) -> Run:
        """Return the run after another epoch, which replaces itself and later epochs if it was trained again."""
        return replace(self, epochs=[*(one for one in self.epochs if one.number < epoch.number), epoch])

    @property
    def digest(self) -> str:
        """Digest of the run's whole content."""
        return _digest(asdict(self))


def read_trial(study: Study, folder: StudyFolder, row: TrialRow) -> Run:
    """Return a trial with the epochs on disk."""
    return trial_run(study, row, [trial_epoch(study, record) for record in read_epochs(folder.trial(row.number))])


def trial_epoch(study: Study, record: Mapping[str, Any]) -> Epoch:
    """Return a trial's epoch from its record in `result.json` or an event."""
    return _epoch(study, record, float(record.get("timestamp", 0)))


def trial_run(study: Study, row: TrialRow, epochs: Sequence[Epoch]) -> Run:
    """Return a trial with these epochs."""
    ended = row.state not in (RUNNING, INTERRUPTED, WAITING)
    label = safe_name(row.label) if "/" in row.label else row.label  # a stranger's may be a path
    results = {"seconds": row.seconds} if ended else {}
    if ended and row.value is not None:
        results[best_of(study)] = row.value
    return Run(
        kind="trial",
        name=f"trial-{row.number:04}" + (f"-{label}" if label else ""),
        key=_digest(row.params),  # a journal that lost its end gives numbers out again
        label=row.label,
        params=row.params,
        state=row.state_text,
        reason=row.reason,
        epochs=epochs,
        results=results,
        best_epoch=row.best_epoch,
        ended=ended,
    )


def read_replicate_runs(study: Study, folder: StudyFolder) -> list[Run]:
    """The replicates, and finished trainings that are none, or none yet: of the race, or untested.

    Those of a larger number of seeds, or of an earlier winner, stay; of one name the one that counts does.
    """
    there = ReplicatesFolder.of(folder)
    runs = {}
    replicates = [*every_replicate(there), *read_replicates(there)]
    tested = {replicate.key.rpartition(" ")[2] for replicate in replicates}
    for path in sorted(there.trainings.glob("*/training.json"), key=lambda path: (path.stat().st_mtime, path)):
        training = read_record(path, Training)
        if training and training.label and training.key not in tested:
            run = _of_training(study, training, path)
            runs[run.name] = run
    for replicate in replicates:
        run = _of_replicate(study, replicate, there.replicate(replicate.variant, replicate.seed) / "replicate.json")
        runs[run.name] = run
    return list(runs.values())


def _of_training(study: Study, training: Training, path: Path) -> Run:
    race = training.label.startswith(RACE)
    best = next((one for one in training.epochs if one["epoch"] == training.chosen_epoch), None)
    return Run(
        kind="race" if race else "replicate",
        name=safe_name(training.label.replace(": ", "-").replace(" ", "-")),
        key=training.key,
        label=training.label,
        params=training.params,
        state=DIVERGED if training.diverged else COMPLETE,
        reason=training.diverged,
        epochs=_epochs(study, training.epochs, path),
        results=_results(study, best, sum(one["epoch_seconds"] for one in training.epochs)) if race else {},
        best_epoch=training.chosen_epoch,
        ended=race,  # a replicate ends when it has been tested
    )


def _of_replicate(study: Study, replicate: Replicate, path: Path) -> Run:
    chosen = replicate.chosen.epoch if replicate.chosen else None
    best = next((one for one in replicate.epochs if one["epoch"] == chosen), None)
    results = _results(study, best, replicate.seconds)
    if replicate.chosen and replicate.last:
        tested = {
            "test_loss": replicate.chosen.loss, "test_accuracy": replicate.chosen.accuracy,
            "last_test_loss": replicate.last.loss, "last_test_accuracy": replicate.last.accuracy,
        }  # fmt: skip
        results |= {name: value for name, value in tested.items() if value is not None}
    return Run(
        kind="replicate",
        name=safe_name(f"{replicate.variant}-seed-{replicate.seed}"),
        key=replicate.key,
        label=f"{replicate.variant} seed {replicate.seed}",
        params=replicate.params,
        state=replicate.state,
        reason=replicate.reason,
        epochs=_epochs(study, replicate.epochs, path),
        results=results,
        best_epoch=chosen,
        ended=True,
    )


def _results(study: Study, best: Mapping[str, Any] | None, seconds: float) -> dict[str, float]:
    value = None if best is None else best.get(study.objective)
    return {"seconds": seconds} | ({} if value is None else {best_of(study): value})


def _epochs(study: Study, records: Sequence[Mapping[str, Any]], path: Path) -> list[Epoch]:
    """Epochs whose own time is not on record: the last one ended when the file was written, the others before."""
    time, epochs = path.stat().st_mtime, []
    for record in reversed(records):
        epochs.append(_epoch(study, record, time))
        time -= record.get("epoch_seconds", 0.0)
    return epochs[::-1]


def _epoch(study: Study, record: Mapping[str, Any], time: float) -> Epoch:
    names = dict.fromkeys((*EPOCH_COLUMNS, study.objective))
    values = {_short(name): record.get(name) for name in names}
    # A file has null in place of a number that is not finite, an event has the number.
    metrics = {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return Epoch(number=record["epoch"], time=time, metrics=finite)


def study_id(folder: StudyFolder) -> str:
    """Return the id of a study in a store. It moves with the folder; a copy gets another id."""
    path = folder.logs / "id"
    with _ID_LOCK:  # two loggers of one process may ask at the same time
        number, _, name = path.read_text(encoding="utf-8").strip().partition("\n") if path.exists() else ("", "", "")
        if not number or name not in ("", folder.name):  # 83dc8fd wrote no name
            number = uuid.uuid4().hex
        if name != folder.name:
            write_atomically(path, f"{number}\n{folder.name}\n", durable=True)
    return number


def best_of(study: Study) -> str:
    """Return the name of a run's best value of the objective."""
    return f"best_{_short(study.objective)}"


def _short(quantity: str) -> str:
    """A quantity's name without its path: `f1` for `metrics.py:f1`."""
    return quantity.rpartition(":")[2]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
