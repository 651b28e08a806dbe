"""A trial as Tune runs it, in a worker process that is kept for the next trial.

torch is imported in the worker only: the driver needs this class by name, and starts 4 s sooner without.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ray import tune

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split
from hw2tune.records.states import DIVERGED, FAILED
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study
from hw2tune.tune.messages import BEST, FAILURE, LAST, RESUMED, failure

if TYPE_CHECKING:
    from hw2tune.train.state import Epoch


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """What a trial gets of a data set, through Ray's object store. The test images are not among it."""

    info: DatasetInfo
    train: Split
    validation: Split


class TrainingTrial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """Trains one configuration; a step is an epoch. What goes wrong is a result with a reason, not a dead process."""

    def setup(self, config: dict[str, Any], data: TrialData, study: Study, threads: int) -> None:
        """Once a process: the data go to the device."""
        from hw2tune.train.batches import TrainingData, on_device
        from hw2tune.train.device import prepare_process

        self.study = study
        self.device = prepare_process(threads)
        self.data = TrainingData(
            train=on_device(data.train, data.info, self.device),
            validation=on_device(data.validation, data.info, self.device),
        )
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        from hw2tune.train.loop import train_epochs
        from hw2tune.train.loss import LOSSES
        from hw2tune.train.state import new_state, restore

        hyperparameters = Hyperparameters(**config["hyperparameters"])
        self.state = new_state(self.study.model, hyperparameters, seed=self.study.seed, device=self.device)
        self.resumed = False
        if config["resume"] is not None:
            restore(self.state, config["resume"])
            self.resumed = True
            self.config = config | {"resume": None}  # Tune sends the configuration back with every result
        self.epochs: Iterator[Epoch] = train_epochs(
            self.state, hyperparameters, self.data, loss=LOSSES[self.study.loss], max_epochs=self.study.max_epochs
        )

    def step(self) -> dict[str, Any]:
        """One epoch."""
        from hw2tune.train.loop import DivergedError

        if self.resumed:
            self.resumed = False
            return {RESUMED: True, "epoch": self.state.epoch, "done": self.state.epoch >= self.study.max_epochs}
        try:
            epoch = next(self.epochs)
        except DivergedError as error:
            reason = f"{DIVERGED} in epoch {self.state.epoch + 1}: {error}"
            return {FAILURE: failure(DIVERGED, reason), "done": True}
        except Exception as error:
            reason = f"{FAILED} in epoch {self.state.epoch + 1}: {type(error).__name__}: {error}"
            return {FAILURE: failure(FAILED, reason, traceback.format_exc()), "done": True}
        return asdict(epoch) | self._weights() | {"done": epoch.epoch >= self.study.max_epochs}

    def _weights(self) -> dict[str, bytes]:
        from hw2tune.train.state import best_epoch, checkpoint, weights

        best = best_epoch(self.state.history, self.study.objective)
        return {LAST: checkpoint(self.state)} | ({BEST: weights(self.state)} if best == self.state.epoch else {})

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune saves nothing: each epoch's weights travel with its result."""
