"""PriorBand of NePS, asked and told: Hyperband over epochs that draws around the study's baseline and around the best.

It names a configuration and a budget in epochs, and names it again with a larger one where it was among the best; here
it then goes on from its last epoch. In a pool a draw becomes the nearest row, and NePS keeps believing in what it drew.
The references are not told to it: NePS keeps what was trained without it out of its brackets.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import neps
import numpy as np
import torch

from benchmarks.contestants.unit_cube import choices, point_of
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Training
from hw2tune.search.design import UnitPoint

PRIOR = "baseline"  # the published setting is what a user knows
CONFIDENCE = "medium"
EPOCHS = "epochs"
DIVERGED = 1.0  # what a training that diverged costs: nothing right
INSIDE = 1 - 1e-9  # a coordinate is below 1


class PriorBand:
    """NePS 0.17 with its defaults (Hyperband, eta 3)."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.study = pool, pool.task.study
        self.choices = choices(self.study)
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.neps = neps.AskAndTell(neps.algorithms.priorband(self._space()))
        self.rows: dict[str, str] = {}  # by the number of a configuration
        self.asked: dict[str, str] = {}  # by row, what NePS waits for

    def _space(self) -> neps.PipelineSpace:
        at = point_of(self.study.search_space, self.study.references[PRIOR])
        space = neps.PipelineSpace()
        for name, some in self.choices.items():
            known: dict[str, Any] = {"prior_confidence": CONFIDENCE} if name in at else {}
            if some:
                known |= {"prior": some.index(at[name])} if name in at else {}
                setattr(space, name, neps.Categorical(some, **known))
            else:
                known |= {"prior": min(at[name], INSIDE)} if name in at else {}
                setattr(space, name, neps.Float(0.0, 1.0, **known))
        setattr(space, EPOCHS, neps.IntegerFidelity(self.study.pruner.min_epochs, self.study.max_epochs))
        return space

    def ask(self, trainings: Mapping[str, Training]) -> tuple[str, int]:
        """What NePS asks for, until that is something which was not trained as far."""
        while True:
            trial = self.neps.ask()
            number, last = trial.id.partition("_")[0], int(trial.config[EPOCHS])
            if number not in self.rows:
                at = UnitPoint({name: min(float(trial.config[name]), INSIDE) for name in self.choices})
                self.rows[number] = self.pool.nearest(self.study.search_space.suggest(at), trainings)
            row = self.rows[number]
            self.asked[row] = trial.id
            there = trainings.get(row)
            if there is None or not (there.diverged or len(there.values) >= last):
                return row, last
            self.tell(there)

    def tell(self, training: Training) -> None:
        """The best value so far, as loss."""
        if (trial := self.asked.pop(training.row, None)) is not None:
            self.neps.tell(trial, DIVERGED if training.diverged else 1 - training.best(len(training.values)))
