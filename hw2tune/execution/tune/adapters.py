"""The three places where Ray Tune calls us. They translate between Tune's ids and results and the driver, no more.

Ray 2.60's own `OptunaSearch` reports trials stopped early as COMPLETE, leaves a NaN trial RUNNING for ever and names
every study "optuna". Its order of calls is leaned on: of each result the stopper hears first; of a worker's death the
scheduler hears before the searcher (`TuneController._process_trial_result`, `_process_trial_failure`).
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from hw2tune.execution.tune.trainable import CHECKPOINT, FAILURE, RESUMED
from hw2tune.execution.worker_death import kernel_kills, worker_death
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.search.driver import Assignment, EpochResult, Outcome, StudyDriver, Verdict, Wait
from hw2tune.search.failures import Failure

TUNES_OWN = ("config", "hist_stats", "done")  # the configuration stands in params.json


@dataclass
class Running:
    """What the three adapters share: the driver, and Tune's trials by Tune's own id.

    `fault` is the first error that a call of the driver raised: Tune 2.60 wraps some of them and drops others.
    """

    driver: StudyDriver
    numbers: dict[str, int] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    fault: Exception | None = None

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Around each call of the driver."""
        try:
            yield
        except Exception as error:  # of whatever kind: `run_tune` raises it again
            self.fault = self.fault or error
            raise


class TuneSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Tune asks it for configurations and tells it that trials ended."""

    def __init__(self, running: Running) -> None:
        study = running.driver.study
        super().__init__(metric=study.objective, mode=study.direction[:3])
        self.running = running

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration, None for nothing yet, FINISHED for nothing more."""
        with self.running.calling():
            given = self.running.driver.next()
        if not isinstance(given, Assignment):
            return None if isinstance(given, Wait) else str(Searcher.FINISHED)
        self.running.numbers[trial_id] = given.trial
        return {
            "number": given.trial,
            "hyperparameters": given.hyperparameters,
            "resume": given.checkpoint,
            "gpu": given.gpu,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the stopper sees every epoch, this only those that do not end a trial."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended."""
        number = self.running.numbers.pop(trial_id, None)
        failure = self.running.failures.pop(trial_id, None)
        if failure is None and (error or result is None):
            failure = worker_death(None)
        if number is not None:
            outcome = Outcome(failure=failure, machine=str((result or {}).get("node_ip", "")))
            with self.running.calling():
                self.running.driver.ended(number, outcome)

    # Tune pickles its parts into a state of its own that nobody reads.
    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the storage holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TuneStopper(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Tune hands it each result first, and asks it whether the run ends."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether this trial ends here."""
        if FAILURE in result:
            self.running.failures[trial_id] = Failure(**result[FAILURE])
            return True
        driver, number = self.running.driver, self.running.numbers[trial_id]
        with self.running.calling():
            if RESUMED in result:
                known = read_epochs(driver.recorder.folder.trial(number))
                return driver.resumed(number, [e for e in known if e["epoch"] <= result[RESUMED]]) is Verdict.STOP
            checkpoint = result.pop(CHECKPOINT)  # ours alone; Tune keeps the last result of every trial
            record = {key: value for key, value in result.items() if key not in TUNES_OWN}
            return driver.epoch(number, EpochResult(record=record, checkpoint=checkpoint)) is Verdict.STOP

    def stop_all(self) -> bool:
        """Return whether the run ends here."""
        return self.running.fault is not None or self.running.driver.end is not None

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TuneScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Of Tune's parts only a scheduler learns how a worker died. `here` is this machine's address."""

    def __init__(self, running: Running, here: str) -> None:
        super().__init__()
        self.running, self.here = running, here
        self.kernel_kills = kernel_kills()

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A worker died without a word of its own."""
        kills, machine = kernel_kills(), trial.node_ip or ""
        with self.running.calling():
            self.running.failures[trial.trial_id] = worker_death(
                _error_of(trial),
                machine=machine,
                alive=self.running.driver.machines(),
                killed_by_kernel=kills > self.kernel_kills and machine in ("", self.here),
            )
        self.kernel_kills = kills
        _forget_checkpoint(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """The trial's worker has its checkpoint."""
        _forget_checkpoint(trial)
        return str(FIFOScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The same of a trial that its first result ends."""
        _forget_checkpoint(trial)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _forget_checkpoint(trial: Any) -> None:
    """Drops the bytes that a trial went on from: Tune keeps its trials, and in each the configuration twice."""
    trial.config["resume"] = trial.evaluated_params["resume"] = None


def _error_of(trial: Any) -> Exception | None:
    """The error that ended a trial's worker. `trial.get_pickled_error()` would look where Tune copies it later."""
    file = trial.pickled_error_file
    return pickle.loads(Path(file).read_bytes()) if file else None  # written by this very process
