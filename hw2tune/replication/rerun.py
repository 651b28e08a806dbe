"""`hw2tune rerun`: one trial of a study again, in this process, compared with its records."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.data.dataset import Dataset
from hw2tune.errors import DeviceError, InterruptedByUserError, StudyFolderError
from hw2tune.events import Listener, Listeners
from hw2tune.execution.request import load_for
from hw2tune.records.environment import run_facts, runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.remote.mirror import reading_study
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import DIVERGED, RUNNING, WAITING
from hw2tune.replication.rerun_result import ENDED_BY_ITSELF, Rerun, RerunEpoch
from hw2tune.search.failures import failure_of
from hw2tune.study.objectives import best_epoch, never_finite, objective_of
from hw2tune.text.numbers import counted
from hw2tune.train.task import Task, TrialData, task_of
from hw2tune.user_code.importer import callers_modules_kept

if TYPE_CHECKING:
    from hw2tune.train.trainer import Session, Trainer

QUANTITIES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
VERSIONS = ("hw2tune", "torch", "numpy")  # that a training may depend on


@callers_modules_kept()
def rerun_trial(
    name: str,
    trial: int,
    *,
    seed: int | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    listeners: Sequence[Listener] = (),
) -> Rerun:
    """Train a trial's configuration again, on its own seed or on `seed`, for as many epochs as it had.

    In this process, with the threads and on the kind of device that the study's workers had. Nothing is written.
    Raises Hw2tuneError, InterruptedByUserError at Ctrl-C.
    """
    tell, overview = Listeners(listeners), read_overview(reading_study(results_dir, name))
    study, row = overview.study, _row(overview, trial)
    # A kill may leave a line of an epoch that the journal does not know of: it is trained again when the study goes on.
    recorded = [one for one in read_epochs(overview.folder.trial(trial)) if one["epoch"] <= row.epochs]
    then = _run_of(overview.folder, recorded)
    data = load_for(study, data_dir, tell)
    chosen = study.seed if seed is None else seed
    task = task_of(study, study.hyperparameters(row.params), chosen)
    # Where a failed or diverged trial has no record of the epoch it ended in, that epoch is trained as well.
    recorded_end = row.reason.startswith(f"{DIVERGED} in epoch {row.epochs}:")
    epochs = row.epochs + (row.state in ENDED_BY_ITSELF and not recorded_end)
    again, ended = _trained(task, data, then.get("resources", {}), epochs, tell)
    return Rerun(
        study=study, trial=row, seed=chosen, ended=ended, circumstances=_circumstances(then, data),
        epochs=_beside(recorded, again, study.objective),
    )  # fmt: skip


def _run_of(folder: StudyFolder, recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the run of the study that began the trial, the last run if it is not known; empty without any run."""
    studies = [run for run in runs(folder) if "study" in run.get("seeds", {})]
    begun = float(recorded[0].get("timestamp", math.inf)) if recorded else math.inf
    before = [run for run in studies if datetime.fromisoformat(run["started"]).timestamp() <= begun]
    return next(reversed(before or studies), {})


def _row(overview: Overview, number: int) -> TrialRow:
    rows, root, name = overview.rows, overview.folder.root, overview.folder.name
    row = next((row for row in rows if row.number == number), None)
    if row is None:
        there = f"it has {counted(len(rows), 'trial')}, from 0 on" if rows else "it has none yet"
        raise StudyFolderError(f"{root}: no trial {number}; {there}; `hw2tune status {name}` lists them")
    if row.state in (WAITING, RUNNING):
        raise StudyFolderError(
            f"{root}: trial {number} is {row.state}: there is nothing to hold it against yet; "
            f"`hw2tune status {name}` shows when it has ended"
        )
    if not row.epochs and row.state not in ENDED_BY_ITSELF:
        raise StudyFolderError(
            f"{root}: trial {number} has no finished epoch to hold it against ({row.reason or row.state})"
        )
    return row


def _trained(
    task: Task, data: Dataset, resources: dict[str, Any], epochs: int, tell: Listeners
) -> tuple[list[dict[str, Any]], str]:
    """Return the epochs' records, and the reason if the training ended early."""
    images = TrialData(info=data.info, train=data.train, validation=data.validation)
    threads, gpu = int(resources.get("threads", 1)), bool(resources.get("gpus_per_trial"))
    records: list[dict[str, Any]] = []
    session: Session | None = None
    try:
        with _process_kept():
            session = _trainer(images, threads, gpu).open(task)
            while len(records) < min(epochs, task.max_epochs):
                tell.stage(f"training epoch {len(records) + 1} of {epochs}")
                records.append(session.step())
    except KeyboardInterrupt:
        raise InterruptedByUserError(
            f"interrupted after {len(records)} of {counted(epochs, 'epoch')}; a rerun keeps nothing"
        ) from None
    except Exception as error:  # whatever ended the training is what the rerun tells
        return records, failure_of(error, None if session is None else len(records) + 1, task.code).reason
    values = {record["epoch"]: record[task.objective] for record in records}
    finite = best_epoch(values, objective_of(task.objective).direction) is not None
    return records, "" if finite or not values else never_finite(task.objective, values)


def _trainer(images: TrialData, threads: int, gpu: bool) -> Trainer:
    """Return a trainer on a GPU if the study and this machine have one; its absence is one of the circumstances."""
    from hw2tune.train.trainer import Trainer

    try:
        return Trainer(images, threads=threads, gpu=gpu)
    except DeviceError:
        return Trainer(images, threads=threads, gpu=False)


@contextlib.contextmanager
def _process_kept() -> Iterator[None]:
    """Restore the process's threads and its treatment of tiny numbers and TF32, which a training sets."""
    import torch

    threads, tf32 = torch.get_num_threads(), (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    flushed = torch.tensor(1e-39).mul(1.0).item() == 0.0
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


def _beside(recorded: list[dict[str, Any]], again: list[dict[str, Any]], objective: str) -> list[RerunEpoch]:
    names = [*dict.fromkeys((*QUANTITIES, objective))]
    kept = [{record["epoch"]: _values(record, names) for record in records} for records in (recorded, again)]
    return [
        RerunEpoch(epoch=epoch, recorded=kept[0].get(epoch, {}), again=kept[1].get(epoch, {}))
        for epoch in sorted({*kept[0], *kept[1]})
    ]


def _values(record: dict[str, Any], names: list[str]) -> dict[str, float]:
    return {
        name: record[name]
        for name in names
        if isinstance(record.get(name), int | float) and math.isfinite(record[name])
    }


def _circumstances(then: dict[str, Any], data: Dataset) -> list[str]:
    """Return the differences, of all that a training may depend on, between the run that began the trial and now."""
    import torch

    now = run_facts()
    pairs = {
        **{name: (then.get("versions", {}).get(name), now["versions"].get(name)) for name in VERSIONS},
        "commit of hw2tune": (then.get("commit"), now["commit"]),
        "processor": (then.get("processor"), now["processor"]),
        "platform": (then.get("platform"), now["platform"]),
        "images (checksum)": (then.get("data", {}).get("checksum"), data.checksum),
        "split (checksum)": (then.get("data", {}).get("split_checksum"), data.split_checksum),
    }
    found = [f"{name}: {old} then, {new} now" for name, (old, new) in pairs.items() if old not in (None, new)]
    if then.get("resources", {}).get("gpus_per_trial") and not torch.cuda.is_available():
        found.append("device: a GPU then, the CPU now")
    return found if then else ["environment.json says nothing of the study's run"]
