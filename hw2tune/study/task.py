"""One training to be done, apart from its images: what train does and tune hands out."""

from __future__ import annotations

from dataclasses import dataclass

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training: everything that its result depends on but the images."""

    model: str
    loss: str
    hyperparameters: Hyperparameters
    seed: int
    max_epochs: int
    objective: str


def task_of(study: Study, hyperparameters: Hyperparameters, seed: int) -> Task:
    """A training as the study trains."""
    return Task(
        model=study.model,
        loss=study.loss,
        hyperparameters=hyperparameters,
        seed=seed,
        max_epochs=study.max_epochs,
        objective=study.objective,
    )
