"""One run of Ray Tune for a driver."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NotWritableError, RayFailedError
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.tune.adapters import Running, TuneScheduler, TuneSearcher, TuneStopper
from hw2tune.execution.tune.trainable import TrainingTrial, slot
from hw2tune.execution.workarounds import (
    idle_workers_used,
    starting_workers_awaited,
    tune_without_handlers,
)
from hw2tune.interrupt import interruptible
from hw2tune.records.atomic import not_writable
from hw2tune.resources import Capacity
from hw2tune.search.driver import RunEnd, StudyDriver
from hw2tune.text.plain import last_line
from hw2tune.train.task import TrialData


def run_tune(
    driver: StudyDriver, *, data: Dataset, cluster: Cluster, capacity: Capacity, trainable: type[Any] = TrainingTrial
) -> RunEnd:
    """Run the driver's trials and return what ended them.

    Raises NotWritableError for a full temporary folder, RayFailedError where Ray fails, and what the driver raises.
    `trainable` takes the arguments of `TrainingTrial`.
    """
    running = Running(driver)
    with _scratch(cluster.scratch) as scratch:
        tuner = tune.Tuner(
            _with_resources(trainable, driver, data, capacity),
            tune_config=tune.TuneConfig(
                search_alg=TuneSearcher(running),
                scheduler=TuneScheduler(running, cluster.here),
                num_samples=-1,  # the searcher says when there are enough
                max_concurrent_trials=capacity.concurrency,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                progress_reporter=tune.CLIReporter(),  # silent at `verbose=0`; a notebook's own clears the cell
                stop=TuneStopper(running),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        with (
            tune_without_handlers(),
            interruptible(driver.interrupt),
            idle_workers_used(),
            starting_workers_awaited(lambda: driver.has_more),
            _faults_of(running),
        ):
            tuner.fit()
    return driver.ending or RunEnd.COMPLETE


@contextmanager
def _faults_of(running: Running) -> Iterator[None]:
    """Around Tune's run: raises an error of the driver's unchanged, and RayFailedError for all others."""
    try:
        yield
    except Exception as error:  # Ray 2.60: whatever Tune's controller does not expect ends it
        if running.fault is None:
            raise RayFailedError(f"Ray Tune ended with {type(error).__name__}: {last_line(error)}") from error
    if running.fault is not None:
        raise running.fault


def _with_resources(trainable: type[Any], driver: StudyDriver, data: Dataset, capacity: Capacity) -> Any:
    trial_data = TrialData(info=data.info, train=data.train, validation=data.validation)
    parameters = {"data": trial_data, "study": driver.study, "threads": capacity.threads}
    return tune.with_resources(
        tune.with_parameters(trainable, **parameters), lambda config: slot(capacity, gpu=config["gpu"])
    )


@contextmanager
def _scratch(place: Path) -> Iterator[str]:
    """A folder for the state that Tune insists on keeping and nobody reads."""
    folder = tempfile.mkdtemp(prefix="tune-", dir=place)
    try:
        yield folder
    except Exception as error:  # Tune's errors of a full disk are of many types
        _refuse_full(error)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_full(error: BaseException | None) -> None:
    """Raise NotWritableError where Tune failed for want of space, in the temporary folder: ours is handled."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = Path(str(error.filename or tempfile.gettempdir() + "/hw2tune"))
            refused = not_writable(place, error, 1_000_000)
            raise NotWritableError(f"{refused}; make room there or name another place in TMPDIR") from error
        error = error.__cause__ or error.__context__
