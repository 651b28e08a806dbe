"""`hw2tune rerun`: one trial of a study again, in this process, compared with its records."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from hw2tune.records.replicates import QUANTITIES
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import DATA_ERROR, DIVERGED, FAILED, RUNNING, WAITING
from hw2tune.search.failures import failure_of
from hw2tune.study.objectives import best_epoch, never_finite, objective_of
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, difference, listed, measured
from hw2tune.train.task import Task, TrialData, task_of
from hw2tune.user_code.importer import callers_modules_kept

if TYPE_CHECKING:
    from hw2tune.train.trainer import Session

ENDED_BY_ITSELF = (DIVERGED, FAILED, DATA_ERROR)  # states that come again; out of memory and lost speak of a machine


@dataclass(frozen=True, kw_only=True)
class RerunEpoch:
    """An epoch by quantity, recorded and again; empty if one of them did not get there.

    A quantity that is not a finite number is absent.
    """

    epoch: int
    recorded: dict[str, float]
    again: dict[str, float]

    @property
    def same(self) -> bool:
        """Return whether every quantity is equal to the last digit."""
        return bool(self.again) and self.recorded == self.again

    @property
    def differences(self) -> dict[str, float]:
        """The differences by quantity, again - recorded."""
        return {name: self.again[name] - value for name, value in self.recorded.items() if name in self.again}


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """A trial, and the same training again, or with another `seed` the same configuration.

    `ended` is the reason if the training ended early, else empty; `circumstances` are differences between then and now.
    """

    study: Study
    trial: TrialRow
    seed: int
    epochs: list[RerunEpoch]
    ended: str
    circumstances: list[str]

    @property
    def other_seed(self) -> bool:
        """Return whether the training was on another seed and not meant to come out the same."""
        return self.seed != self.study.seed

    @property
    def expected(self) -> str:
        """The expected reason for the end; empty if the trial was stopped gracefully or its machine failed."""
        return self.trial.reason if self.trial.state in ENDED_BY_ITSELF else ""

    @property
    def same(self) -> bool:
        """Return whether every recorded epoch came out equal to the last digit, and the training ended as before."""
        return not self.other_seed and all(one.same for one in self.epochs) and self.ended == self.expected

    @property
    def best(self) -> float | None:
        """The best value of the objective over this training's epochs."""
        objective = self.study.objective
        values = {one.epoch: one.again[objective] for one in self.epochs if objective in one.again}
        best = best_epoch(values, self.study.direction)
        return None if best is None else values[best]

    @property
    def sentence(self) -> str:
        """The result in words."""
        if self.other_seed:
            return self._on_another_seed()
        if not self.same:
            return f"trial {self.trial.number} did not come out the same: {'; '.join(self._what_differs())}"
        epochs = f": {counted(len(self.epochs), 'epoch')}, every loss and accuracy equal to the last digit"
        end = f"{' and' if self.epochs else ':'} {self.ended} again" if self.ended else ""
        return f"trial {self.trial.number} came out the same{epochs if self.epochs else ''}{end}"

    def _what_differs(self) -> Iterator[str]:
        off = [one for one in self.epochs if one.recorded and one.again and not one.same]
        sizes = []
        for name in dict.fromkeys(name for one in off for name in one.differences):
            if largest := max(abs(one.differences.get(name, 0.0)) for one in off):
                size = f"{largest:.1e}" if largest < 1e-4 else difference(largest, name).removeprefix("+")
                sizes.append(f"{size} of {name.replace('_', ' ')}")
        if off:
            yield f"it differs from epoch {off[0].epoch} on" + (f", by at most {listed(sizes)}" if sizes else "")
        if gone := [str(one.epoch) for one in self.epochs if not one.again]:
            yield f"epoch {listed(gone)} did not come again"
        if self.ended != self.expected:
            yield f"it ended with `{self.ended or 'nothing amiss'}`, not with `{self.expected or 'nothing amiss'}`"

    def _on_another_seed(self) -> str:
        row, objective, where = self.trial, self.study.objective, f"trial {self.trial.number} on seed {self.seed}"
        if self.ended or self.best is None:
            return f"{where}: {self.ended or 'no epoch was trained'}"
        value = f"{where}: best {self.study.objective_spec.label} {measured(self.best, objective)}"
        if row.value is None:
            return f"{value}; on the study's seed {self.study.seed} {row.reason or row.state}"
        return (
            f"{value}, against {measured(row.value, objective)} on the study's seed {self.study.seed}: "
            f"{difference(self.best - row.value, objective)} (what a search picks is partly luck of its seed)"
        )


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
    names = dict.fromkeys((*QUANTITIES, study.objective))
    before, now = ({one["epoch"]: _finite(one, names) for one in records} for records in (recorded, again))
    beside = [
        RerunEpoch(epoch=epoch, recorded=before.get(epoch, {}), again=now.get(epoch, {}))
        for epoch in sorted({*before, *now})
    ]
    circumstances = _circumstances(then, data)
    return Rerun(study=study, trial=row, seed=chosen, epochs=beside, ended=ended, circumstances=circumstances)


def _finite(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    values = {name: record.get(name) for name in names}
    return {name: one for name, one in values.items() if isinstance(one, int | float) and math.isfinite(one)}


def _run_of(folder: StudyFolder, recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the run of the study that began the trial, the last run if it is not known; empty without any run."""
    studies = [run for run in runs(folder) if "study" in run.get("seeds", {})]
    begun = float(recorded[0].get("timestamp", math.inf)) if recorded else math.inf
    before = [run for run in studies if datetime.fromisoformat(run["started"]).timestamp() <= begun]
    return next(reversed(before or studies), {})


def _row(overview: Overview, number: int) -> TrialRow:
    rows, root, name = overview.rows, overview.folder.root, overview.folder.name
    row = next((row for row in rows if row.number == number), None)
    if overview.searches:
        arms = ", ".join(search.folder.root.name for search in overview.searches)
        raise StudyFolderError(f"{root}: has its trials in arms; add --arm and one of {arms}")
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
            from hw2tune.train.trainer import Trainer

            with contextlib.suppress(DeviceError):  # without the study's GPU it is one of the circumstances
                session = Trainer(images, threads=threads, gpu=gpu).open(task)
            session = session or Trainer(images, threads=threads, gpu=False).open(task)
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


def _circumstances(then: dict[str, Any], data: Dataset) -> list[str]:
    """Return the differences, of all that a training may depend on, between the run that began the trial and now."""
    import torch

    now, images, versions = run_facts(), then.get("data", {}), then.get("versions", {})
    pairs = {
        **{name: (versions.get(name), now["versions"].get(name)) for name in ("hw2tune", "torch", "numpy")},
        "commit of hw2tune": (then.get("commit"), now["commit"]),
        "processor": (then.get("processor"), now["processor"]),
        "platform": (then.get("platform"), now["platform"]),
        "images (checksum)": (images.get("checksum"), data.checksum),
        "split (checksum)": (images.get("split_checksum"), data.split_checksum),
    }
    found = [f"{name}: {old} then, {new} now" for name, (old, new) in pairs.items() if old not in (None, new)]
    if then.get("resources", {}).get("gpus_per_trial") and not torch.cuda.is_available():
        found.append("device: a GPU then, the CPU now")
    return found if then else ["environment.json says nothing of the study's run"]
