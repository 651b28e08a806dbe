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
from hw2tune.records.atomic import read_record, write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.reads import ON_VALIDATION
from hw2tune.records.replicates import Replicate, ReplicatesFolder, Training, every_replicate, read_replicates
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, DIVERGED, INTERRUPTED, RANKED, RUNNING, WAITING
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study_result import EPOCH_COLUMNS

_ID_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a run. `metrics` by the names of `StudyResult.epochs`: losses in nats, accuracies as fractions."""

    number: int  # from 1
    time: float  # when it ended, in seconds since 1970
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
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

    def with_epoch(self, epoch: Epoch) -> LoggedRun:
        """Return the run after another epoch, which replaces itself and later epochs if it was trained again."""
        return replace(self, epochs=[*(one for one in self.epochs if one.number < epoch.number), epoch])

    @property
    def digest(self) -> str:
        """Digest of the run's whole content."""
        return _digest(asdict(self))


def trial_run(overview: Overview, row: TrialRow, epochs: Sequence[Epoch] | None = None) -> LoggedRun:
    """Return a trial with these epochs, or with those on disk."""
    study = overview.study
    if epochs is None:
        epochs = [epoch_of(study, record) for record in read_epochs(overview.folder.trial(row.number))]
    ended = row.state not in (RUNNING, INTERRUPTED, WAITING)
    label = safe_name(row.label) if "/" in row.label else row.label  # a stranger's may be a path
    results = {"seconds": row.seconds} if ended else {}
    if ended and row.value is not None:
        results[best_of(study)] = row.value
    return LoggedRun(
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


def read_replicate_runs(overview: Overview) -> list[LoggedRun]:
    """Return the replicates, and finished trainings that are none, or none yet: of the race, or untested.

    Those of a larger number of seeds, or of an earlier winner, stay; of one name the one that counts does.
    """
    study, place, runs = overview.study, ReplicatesFolder.of(overview.folder), []
    replicates = [*every_replicate(place), *read_replicates(place)]
    tested = {replicate.key.rpartition(" ")[2] for replicate in replicates}
    for path in sorted(place.trainings.glob("*/training.json"), key=lambda path: (path.stat().st_mtime, path)):
        one = read_record(path, Training)
        if one and one.label and one.key not in tested:
            race = one.label.startswith(ON_VALIDATION)
            runs.append(_run(
                study, one, path, one.chosen_epoch, kind="race" if race else "replicate", label=one.label,
                state=DIVERGED if one.diverged else COMPLETE, reason=one.diverged,
                ended=race,  # a replicate ends when it has been tested
            ))  # fmt: skip
    for replicate in replicates:
        variant, seed = replicate.variant, replicate.seed
        runs.append(_run(
            study, replicate, place.replicate(variant, seed) / "replicate.json",
            replicate.chosen.epoch if replicate.chosen else None, kind="replicate", label=f"{variant} seed {seed}",
            state=replicate.state, reason=replicate.reason, ended=True,
        ))  # fmt: skip
    return list({run.name: run for run in runs}.values())


def _run(study: Study, one: Training | Replicate, path: Path, best_epoch: int | None, **about: Any) -> LoggedRun:
    """Return a run whose epochs have no time on record: the last one ended when the file was written."""
    best = next((record for record in one.epochs if record["epoch"] == best_epoch), {}).get(study.objective)
    results = {"seconds": one.seconds} | ({} if best is None else {best_of(study): best})
    if isinstance(one, Replicate) and one.chosen and one.last:
        for prefix, tested in (("", one.chosen), ("last_", one.last)):
            measured = {f"{prefix}test_{_short(name)}": tested.measured(name) for name in _tested(study)}
            results |= {name: value for name, value in measured.items() if value is not None}
    time, epochs = path.stat().st_mtime, list[Epoch]()
    for record in reversed(one.epochs):
        epochs.insert(0, epoch_of(study, record, time))
        time -= record.get("epoch_seconds", 0.0)
    if not about["ended"]:
        results = {}
    if about["kind"] == "race":
        name = about["label"].replace(": ", "-").replace(" ", "-")
    else:  # one name of a replicate, before and after it is tested
        name = "-seed-".join(about["label"].rsplit(" seed ", 1))
    return LoggedRun(
        name=safe_name(name), key=one.key, params=one.params, epochs=epochs, results=results, best_epoch=best_epoch,
        **about,
    )  # fmt: skip


def epoch_of(study: Study, record: Mapping[str, Any], time: float | None = None) -> Epoch:
    """Return an epoch from its record in a file or an event; that of a trial has its time."""
    metrics = {}
    for name in (*EPOCH_COLUMNS, study.objective):
        value = record.get(name)  # of a number that is not finite a file has null, an event the number
        if isinstance(value, (int, float)) and math.isfinite(value):
            metrics[_short(name)] = float(value)
    at = float(record.get("timestamp", 0)) if time is None else time
    return Epoch(number=record["epoch"], time=at, metrics=metrics)


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


def _tested(study: Study) -> list[str]:
    """The names of the metrics that a replicate is tested in."""
    return list(dict.fromkeys(("loss", "accuracy", study.objective_spec.metric)))


def _short(quantity: str) -> str:
    """A quantity's name without its path: `f1` for `metrics.py:f1`."""
    return quantity.rpartition(":")[2]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
