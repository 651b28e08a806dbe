"""A trial that trains nothing and reports after a second, with a checkpoint of the real size: for `benchmarks.scale`.

An epoch of no length would leave the slots no time to fill: one worker ends hundreds of trials while another starts.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from ray import tune

from benchmarks.scale import CHECKPOINT_BYTES, epoch_record, goodness
from hw2tune.execution.trainable import CHECKPOINT
from hw2tune.records.trials.epochs import DIGEST, digest


class SimulatedTrial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """Takes what TrainingTrial takes."""

    def setup(self, config: dict[str, Any], data: Any, study: Any, threads: int) -> None:
        """Once a process."""
        self.study = study
        self.content = os.urandom(CHECKPOINT_BYTES)
        self.known = digest(self.content)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process."""
        params = new_config["hyperparameters"]
        self.chance = random.Random(json.dumps(params, sort_keys=True))
        self.good, self.epoch = goodness(params, self.chance), 0
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        time.sleep(1)
        self.epoch += 1
        found = epoch_record(self.epoch, self.good, self.chance)
        done = self.epoch >= self.study.max_epochs
        return found | {CHECKPOINT: self.content, DIGEST: self.known, "done": done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing, as with TrainingTrial."""
