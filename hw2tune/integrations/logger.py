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
from hw2tune.integrations.runs import LoggedRun, epoch_of, read_replicate_runs, trial_run
from hw2tune.loggers import silenced
from hw2tune.paths import refuse_unwritable
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import RUNNING
from hw2tune.text.plain import first_line
from hw2tune.variables import settled

PATIENCE = 60.0  # seconds without a run written, until a study ends without the rest


class RecordsLogger(ABC):
    """A listener that brings a store up to date with the records. Subclasses say how a run is written.

    Raises LoggerError if the library is not installed. Writing a run twice changes nothing.
    """

    name: ClassVar[str]  # of the library, as --log takes it
    library: ClassVar[str]  # the package that must be there
    imports: ClassVar[tuple[str, ...]] = ()  # what it imports later, in our thread: others' warnings would be shown
    loggers: ClassVar[tuple[str, ...]] = ()  # of Python's, which would write into the terminal
    overview: Overview  # of the study that is logged, as it was when last read

    def __init__(self) -> None:
        self._import()
        self._identity: tuple[StudyFolder, int] | None = None
        self._running: dict[int, LoggedRun] = {}  # trials by number
        self._written: dict[str, str] = {}  # digests of the runs in the store, by name
        self._pending: dict[str, Callable[[], None]] = {}  # the thread's work, with the work in progress
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None  # None if there is no work, or the last work failed
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

    def begin(self, overview: Overview) -> Mapping[str, str]:
        """Prepare the store for a study. Return the digests of the complete runs in it, by name, if it has them."""
        return {}

    @abstractmethod
    def write(self, run: LoggedRun) -> None:
        """Bring the store up to date with a run, whatever it holds of the run."""

    def end(self, overview: Overview) -> None:  # noqa: B027  # not every store has a place for the study
        """Log the study as a whole, after every ended run is written."""

    def __call__(self, event: Event) -> None:
        """Mark the changed run. Raises LoggerError at a study's end if a run could not be written."""
        match event:
            case StudyStarted(folder=folder) | ReplicationStarted(folder=folder):
                self._begin(StudyFolder(Path(folder)))
            case TrialStarted(trial=number, label=label, params=params):
                row = TrialRow(
                    number=number, label=label, state=RUNNING, reason="", epochs=0, value=None, best_epoch=None,
                    seconds=0.0, params=dict(params),
                )  # fmt: skip
                self._trial_changed(row.number, trial_run(self.overview, row))
            case EpochFinished(trial=number, record=record):
                epoch = epoch_of(self.overview.study, record)
                self._trial_changed(number, self._running[number].with_epoch(epoch))
            case TrialFinished(row=row):
                running = self._running.pop(row.number, None)
                run = trial_run(self.overview, row, running.epochs if running else None)
                self._add(run.name, lambda: self._write(run))
            case TrainingFinished():
                self._add("replicates", self._write_replicates)
            case StudyFinished(folder=folder) | ReplicationFinished(folder=folder):
                self._finish(StudyFolder(Path(folder)))
            case ReportWritten(folders=folders):
                for folder in folders:
                    self._finish(StudyFolder(Path(folder)))

    def _trial_changed(self, number: int, run: LoggedRun) -> None:
        self._running[number] = run
        self._add(run.name, lambda: self._write(run))

    def _begin(self, folder: StudyFolder) -> None:
        identity = (folder, folder.root.stat().st_ino)  # `--fresh` begins another study in a folder of that name
        if identity == self._identity:
            return
        self._identity = identity
        self.check(folder.root)
        overview = read_overview(folder)
        for logger in {self, _active.get((self.name, folder), self)}:
            logger._abandon()  # two loggers would write the same runs
        _active[self.name, folder], self.overview = self, overview
        self._running.clear()
        self._add("study", self._open)
        self._add("everything", self._write_everything)

    def _abandon(self) -> None:
        with self._changed:
            self._pending.clear()
            self._changed.wait_for(lambda: self._thread is None, PATIENCE)

    def _finish(self, folder: StudyFolder) -> None:
        self._begin(folder)
        self.overview = read_overview(folder, self.overview)
        self._add("everything", self._write_everything)
        self._add("end", lambda: self.end(self.overview))
        self._wait()

    # What follows runs in the thread.

    def _open(self) -> None:
        self._written = dict(self.begin(self.overview))

    def _write_everything(self) -> None:
        for row in self.overview.finished:
            self._write(trial_run(self.overview, row))
        self._write_replicates()

    def _write_replicates(self) -> None:
        for run in read_replicate_runs(self.overview):
            self._write(run)

    def _write(self, run: LoggedRun) -> None:
        if self._written.get(run.name) != run.digest:
            self.write(run)
            self._written[run.name] = run.digest
        with self._changed:
            self._progress += 1
            self._changed.notify_all()

    def _add(self, what: str, work: Callable[[], None]) -> None:
        """Append work to the pending work, in place of the same work. Costs the study microseconds."""
        with self._changed:
            self._pending[what] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"hw2tune --log {self.name}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._pending:
                    self._thread = None
                    self._changed.notify_all()
                    return
                what, work = next(iter(self._pending.items()))
            try:
                with silenced(*self.loggers):
                    work()
            except Exception as error:  # each library and store has its own; the study's end names it
                self._failed(what, error)
                return
            with self._changed:
                self._failure = None
                if (newer := self._pending.pop(what, work)) is not work:
                    self._pending[what] = newer  # behind the others

    def _failed(self, what: str, error: Exception) -> None:
        """Keep failed work for the next event: a server may have been away. The study's own beginning stays first."""
        with self._changed:
            if what != "study" and what in self._pending:
                self._pending[what] = self._pending.pop(what)
            self._failure, self._thread = error, None
            self._changed.notify_all()

    def _wait(self) -> None:
        """Wait until the store is up to date. Raises LoggerError if it cannot be."""
        with self._changed:
            before = -1
            while self._thread is not None and before != self._progress:
                before = self._progress
                self._changed.wait(PATIENCE)
            left, error = bool(self._pending), self._failure
        if left:
            why = f"{type(error).__name__}: {error}" if error else f"nothing was written for {PATIENCE:g} s"
            raise LoggerError(
                f"--log {self.name}: not everything is logged ({first_line(why)}); nothing is lost, the same "
                "command logs the rest"
            )


_active: dict[tuple[str, StudyFolder], RecordsLogger] = {}  # who logs which study; an error may have ended it
