"""Base class of the loggers: a listener that keeps a store up to date with a study's records.

The records on disk are the truth, a store is a projection of them. A running trial's epochs come with the events; the
records are read for what went before, and for replicates. A thread writes the runs that the store lacks. So nothing is
lost or doubled if a study is killed and continued, if logging begins late, or if a server was away. The study waits for
a logger only at its end.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from hw2tune.errors import LoggerError
from hw2tune.events import (
    EpochFinished,
    Event,
    ReplicationFinished,
    ReplicationStarted,
    ReportWritten,
    StudyFinished,
    StudyStarted,
    TrainingFinished,
    TrialFinished,
    TrialStarted,
)
from hw2tune.integrations.runs import Run, read_replicate_runs, read_trial, trial_epoch, trial_run
from hw2tune.loggers import silenced
from hw2tune.paths import refuse_unwritable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import RUNNING
from hw2tune.study.hyperparameters import Value
from hw2tune.text.plain import first_line
from hw2tune.variables import settled

LINGERING = 5.0  # seconds that the thread waits for more to do
PATIENCE = 60.0  # seconds without a run written, until a study ends without the rest


class RecordsLogger(ABC):
    """A listener that brings a store up to date with the records. Subclasses say how a run is written.

    Raises LoggerError if the library is not installed. Writing a run twice changes nothing.
    """

    name: ClassVar[str]  # of the library, as --log takes it
    library: ClassVar[str] = ""  # the package that must be there
    imports: ClassVar[tuple[str, ...]] = ()  # what it imports later, in our thread: others' warnings would be shown
    loggers: ClassVar[tuple[str, ...]] = ()  # of Python's, which would write into the terminal

    def __init__(self) -> None:
        if self.library:
            self._import()
        self.overview: Overview | None = None  # of the study that is logged, as it was when last read
        self._identity: tuple[StudyFolder, int] | None = None
        self._running: dict[int, Run] = {}  # trials by number
        self._ended: dict[int, TrialRow] = {}  # trials whose end was logged
        self._written: dict[str, str] = {}  # digests of the runs in the store, by name
        self._pending: dict[str, Callable[[], None]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._working = self._leaving = False
        self._progress = 0
        self._failure: Exception | None = None

    def _import(self) -> None:
        """Import the library, which takes seconds, before the study and without its own messages."""
        with settled(), silenced(*self.loggers), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for module in (self.library, *self.imports):
                    importlib.import_module(module)
            except ImportError as error:
                raise LoggerError(
                    f"--log {self.name}: its library cannot be imported ({error}); pip install '.[{self.name}]' "
                    "in hw2tune's checkout"
                ) from error

    def check(self, folder: Path) -> None:
        """Raise LoggerError or PathError if the study in `folder`, which may not exist yet, cannot be logged."""
        refuse_unwritable(self.place(StudyFolder(folder)), f"--log {self.name}")

    @abstractmethod
    def place(self, folder: StudyFolder) -> Path:
        """Return the place of this library's files in a study's folder."""

    def begin(self, overview: Overview) -> None:  # noqa: B027  # not every store has a place for the study
        """Prepare the store for a study, the first of this process or another one."""

    @abstractmethod
    def write(self, run: Run) -> None:
        """Bring the store up to date with a run, whatever it holds of the run."""

    def end(self, overview: Overview) -> None:  # noqa: B027
        """Log the study as a whole, after every ended run is written."""

    def __call__(self, event: Event) -> None:
        """Mark the changed run. Raises LoggerError at a study's end if a run could not be written."""
        match event:
            case StudyStarted(folder=folder) | ReplicationStarted(folder=folder):
                self._begin(StudyFolder(Path(folder)))
            case TrialStarted(trial=number, label=label, params=params):
                overview = self._overview()
                self._trial_changed(number, read_trial(overview.study, overview.folder, _begun(number, label, params)))
            case EpochFinished(trial=number, record=record):
                epoch = trial_epoch(self._overview().study, record)
                self._trial_changed(number, self._running[number].with_epoch(epoch))
            case TrialFinished(row=row):
                self._trial_ended(row)
            case TrainingFinished():
                self._add("replicates", self._write_replicates)
            case StudyFinished(folder=folder) | ReplicationFinished(folder=folder):
                self._finish(StudyFolder(Path(folder)))
            case ReportWritten(folders=folders):
                for folder in folders:
                    self._finish(StudyFolder(Path(folder)))

    def _begin(self, folder: StudyFolder) -> None:
        identity = (folder, folder.root.stat().st_ino)  # `--fresh` begins another study in a folder of that name
        if identity == self._identity:
            return
        self._identity = identity
        refuse_unwritable(self.place(folder), f"--log {self.name}")
        overview = read_overview(folder)
        if (before := _active.get((self.name, folder))) is not None and before is not self:
            before._abandon()
        _active[self.name, folder] = self
        with self._changed:
            self._pending.clear()
            self._running.clear()
            self._ended.clear()
            self._written.clear()
        self.overview = overview
        self._add("study", lambda: self.begin(overview))
        self._add("everything", self._write_everything)

    def _abandon(self) -> None:
        """Stop before another logger of the same study continues: two would write the same runs."""
        with self._changed:
            self._pending.clear()
            self._leaving = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._thread is None, PATIENCE)

    def _finish(self, folder: StudyFolder) -> None:
        self._begin(folder)
        self.overview = read_overview(folder, self.overview)
        self._add("everything", self._write_everything)
        self._add("end", self._end)
        self._wait()

    def _trial_changed(self, number: int, run: Run) -> None:
        self._running[number] = run
        self._add(f"trial {number}", lambda: self._write(run))

    def _trial_ended(self, row: TrialRow) -> None:
        overview, running = self._overview(), self._running.pop(row.number, None)
        if running is None:
            run = read_trial(overview.study, overview.folder, row)
        else:
            run = trial_run(overview.study, row, running.epochs)
        self._ended[row.number] = row
        self._add(f"trial {row.number}", lambda: self._write(run))

    # What follows runs in the thread.

    def _write_everything(self) -> None:
        overview = self._overview()
        for row in overview.finished:
            if self._ended.get(row.number) != row:
                self._write(read_trial(overview.study, overview.folder, row))
                self._ended[row.number] = row
        self._write_replicates()

    def _write_replicates(self) -> None:
        overview = self._overview()
        for run in read_replicate_runs(overview.study, overview.folder):
            self._write(run)

    def _write(self, run: Run) -> None:
        if self._written.get(run.name) != run.digest:
            self.write(run)
            self._written[run.name] = run.digest
        with self._changed:
            self._progress += 1
            self._changed.notify_all()

    def _end(self) -> None:
        self.end(self._overview())

    def _overview(self) -> Overview:
        assert self.overview is not None, "a study is begun before it is logged"
        return self.overview

    def _add(self, what: str, work: Callable[[], None]) -> None:
        """Append work to the pending work, in place of the same work. Costs the study microseconds."""
        with self._changed:
            self._pending[what] = work
            self._changed.notify_all()
            if self._thread is None:
                self._leaving = False
                self._thread = threading.Thread(target=self._work, name=f"hw2tune --log {self.name}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while work := self._next():
            what, do = work
            try:
                with silenced(*self.loggers):
                    do()
            except Exception as error:  # each library and store has its own; the study's end names it
                self._failed(what, do, error)
                return
            self._failure = None

    def _next(self) -> tuple[str, Callable[[], None]] | None:
        """The next pending work; None, and the thread's end, if none came for a while."""
        with self._changed:
            self._working = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending or self._leaving, LINGERING)
            if not self._pending:
                self._thread = None
                self._changed.notify_all()
                return None
            self._working = True
            what = next(iter(self._pending))
            return what, self._pending.pop(what)

    def _failed(self, what: str, do: Callable[[], None], error: Exception) -> None:
        """Keep failed work for the next event: a server may have been away. The study's own beginning stays first."""
        with self._changed:
            self._working = False
            after = {} if what == "study" else self._pending
            self._pending = {**after, what: self._pending.get(what, do), **self._pending}
            self._failure, self._thread = error, None
            self._changed.notify_all()

    def _wait(self) -> None:
        """Wait until the store is up to date. Raises LoggerError if it cannot be."""
        with self._changed:
            while not self._idle() and self._changed.wait_for(partial(self._moved, self._progress), PATIENCE):
                pass
            left = self._working or bool(self._pending)
            self._leave()
        if left:
            error = self._failure
            why = f"{type(error).__name__}: {error}" if error else f"nothing was written for {PATIENCE:g} s"
            raise LoggerError(
                f"--log {self.name}: not everything is logged ({first_line(why)}); nothing is lost, the same "
                "command logs the rest"
            )

    def _idle(self) -> bool:
        return self._thread is None or not (self._working or self._pending)

    def _moved(self, since: int) -> bool:
        return self._idle() or self._progress > since

    def _leave(self) -> None:
        """End the idle thread. The lock must be held."""
        self._leaving = True
        self._changed.notify_all()
        if not self._working:
            self._changed.wait_for(lambda: self._thread is None, PATIENCE)


_active: dict[tuple[str, StudyFolder], RecordsLogger] = {}  # who logs which study; an error may have ended it


def _begun(number: int, label: str, params: Mapping[str, Value]) -> TrialRow:
    return TrialRow(
        number=number, label=label, state=RUNNING, reason="", epochs=0, value=None, best_epoch=None, seconds=0.0,
        params=dict(params),
    )  # fmt: skip
