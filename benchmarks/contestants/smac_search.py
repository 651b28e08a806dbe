"""SMAC3's multi-fidelity facade for `benchmarks.search`: Hyperband over epochs with a random forest, asked and told.

It names a configuration and a budget in epochs, and names it again with a larger one where it was among the best; here
it then goes on from its last epoch. It draws from the unit cube that a space is made of. In a pool a draw becomes the
nearest row, and SMAC keeps believing in what it drew, as it must find its own configurations again.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping
from typing import Any

from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float
from smac import MultiFidelityFacade, Scenario
from smac.runhistory import TrialInfo, TrialValue

from benchmarks.contestants.unit_cube import choices, point_of
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Training
from hw2tune.search.design import UnitPoint

ONLY_SEED = 0  # SMAC's of a deterministic scenario
FIRST = 5
DIVERGED = 1.0  # what a training that diverged costs: nothing right


class Smac:
    """SMAC3 2.4 with its facade's defaults, but for eta (3, as ours) and draws before its model (5, not 10 D)."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.study = pool, pool.task.study
        self.choices = choices(self.study)
        space = ConfigurationSpace(seed=seed)
        space.add([Categorical(name, some) if some else Float(name, (0.0, 1.0)) for name, some in self.choices.items()])
        self.space = space
        self.output = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space, deterministic=True, n_trials=100_000, seed=seed, output_directory=self.output.name,
            min_budget=self.study.pruner.min_epochs, max_budget=self.study.max_epochs,
        )  # fmt: skip
        logging.disable(logging.WARNING)
        self.smac = MultiFidelityFacade(
            scenario,
            _never,
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=FIRST),
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=3),
            overwrite=True,
            logging_level=False,
        )
        self.rows: dict[Configuration, str] = {}
        self.asked: dict[str, TrialInfo] = {}

    def ask(self, trainings: Mapping[str, Training]) -> tuple[str, int]:
        """What SMAC asks for, until that is something which was not trained as far."""
        while True:
            info = self.smac.ask()
            if info.config not in self.rows:
                at = UnitPoint({name: min(float(info.config[name]), 1 - 1e-9) for name in self.choices})
                self.rows[info.config] = self.pool.nearest(self.study.search_space.suggest(at), trainings)
            row, last = self.rows[info.config], max(1, round(info.budget))
            self.asked[row] = info
            there = trainings.get(row)
            if there is None or not (there.diverged or len(there.values) >= last):
                return row, last
            self.tell(there)

    def tell(self, training: Training) -> None:
        """The best value so far, as loss."""
        info = self.asked.pop(training.row, None)
        if info is None:
            info = TrialInfo(self._reference(training.row), seed=ONLY_SEED, budget=float(self.study.max_epochs))
        cost = DIVERGED if training.diverged else 1 - training.best(len(training.values))
        self.smac.tell(info, TrialValue(cost=cost, time=0.0), save=False)

    def _reference(self, row: str) -> Configuration:
        at = point_of(self.study.search_space, self.study.references[row])
        values = {name: at.get(name, some[0] if some else 0.5) for name, some in self.choices.items()}
        self.rows[Configuration(self.space, values=values)] = row
        return Configuration(self.space, values=values)


def _never(config: Configuration, seed: int = 0, budget: float = math.nan) -> Any:
    raise AssertionError("SMAC is asked and told")
