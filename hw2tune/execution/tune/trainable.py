"""A trial as Tune runs it, in a worker process that is kept for the next trial.

torch is imported in the worker only: the driver needs this class by name, and starts 4 s sooner without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from hw2tune.execution.tune.messages import CHECKPOINT, FAILURE, RESUMED
from hw2tune.records.trials.checkpoints import DIGEST, digest
from hw2tune.search.failures import failure_of
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study
from hw2tune.study.task import TrialData

if TYPE_CHECKING:
    from hw2tune.train.state import Epoch


class TrainingTrial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """Trains one configuration; a step is an epoch. What goes wrong is a result with a reason, not a dead process."""

    def setup(self, config: dict[str, Any], data: TrialData, study: Study, threads: int) -> None:
        """Once a process. All work waits for the first step, where what fails has a way to say why."""
        self.study = study
        self.prepare: Callable[[], None] | None = lambda: self._prepare(data, threads, gpu=config["gpu"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process."""
        self.begin: Callable[[], None] | None = lambda: self._begin(new_config)
        return True

    def _prepare(self, data: TrialData, threads: int, *, gpu: bool) -> None:
        from hw2tune.train.batches import TrainingData, on_device
        from hw2tune.train.device import prepare_process

        self.device = prepare_process(threads, gpu=gpu)
        self.data = TrainingData(
            train=on_device(data.train, data.info, self.device),
            validation=on_device(data.validation, data.info, self.device),
        )

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
        try:
            return self._step()
        except Exception as error:
            failure = failure_of(error, self.state.epoch + 1 if self.begin is None else None)
            return {FAILURE: asdict(replace(failure, machine=ray.util.get_node_ip_address())), "done": True}

    def _step(self) -> dict[str, Any]:
        if self.prepare is not None:
            self.prepare()
            self.prepare = None
        if self.begin is not None:
            self.begin()
            self.begin = None
        if self.resumed:
            self.resumed = False
            history = [asdict(epoch) for epoch in self.state.history]
            return {RESUMED: history, "epoch": len(history), "done": len(history) >= self.study.max_epochs}
        epoch = next(self.epochs)
        return asdict(epoch) | self._checkpoint() | {"done": epoch.epoch >= self.study.max_epochs}

    def _checkpoint(self) -> dict[str, Any]:
        from hw2tune.train.state import checkpoint

        content = checkpoint(self.state)
        return {CHECKPOINT: content, DIGEST: digest(content)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune saves nothing: each epoch's checkpoint travels with its result."""
