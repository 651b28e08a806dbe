"""What a study file may hold, and the study that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hw2tune.study.hyperparameters import Hyperparameters, Value, identity
from hw2tune.study.objectives import OBJECTIVES
from hw2tune.study.space import STRICT, Distribution, Space, as_table

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # a name becomes a folder: nothing that could leave the results

LABELS = ("baseline", "l2")  # the published configurations: trials 0 and 1 of every study


class Pruner(BaseModel):
    """When an unpromising trial is stopped. `asha` is asynchronous successive halving (Li et al., 2020)."""

    model_config = STRICT
    name: Literal["asha", "median", "none"] = "asha"
    min_epochs: Annotated[int, Field(ge=1)] = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 3


class Study(BaseModel):
    """What is searched: the content of a study file, with the options of the command line laid over it.

    Sizes are numbers of images. `loss` is `cross_entropy` (the network's outputs are logits) or `double_softmax`
    (softmax outputs go into a cross-entropy that takes a softmax again, as the published MNIST runs did; its
    smallest value is 1.4612 nats).
    """

    model_config = ConfigDict(**STRICT, ignored_types=(cached_property,))
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    dataset: str
    model: str
    loss: Literal["cross_entropy", "double_softmax"]
    max_epochs: Annotated[int, Field(ge=1)]
    validation_size: Annotated[int, Field(ge=1)]
    split_seed: Annotated[int, Field(ge=0)] = 0
    objective: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    trials: Annotated[int, Field(ge=2)] = 50
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Annotated[int, Field(ge=0)] = 0
    pruner: Pruner = Pruner()
    space: dict[str, Distribution]
    published: Annotated[dict[Literal["baseline", "l2"], dict[str, Value]], Field(min_length=2)]

    @field_validator("space", mode="before")
    @classmethod
    def _plain_values_are_choices(cls, space: Any) -> Any:
        return {k: as_table(v) for k, v in space.items()} if isinstance(space, Mapping) else space

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way the objective is better."""
        return OBJECTIVES[self.objective].direction

    @cached_property
    def search_space(self) -> Space:
        """The space as what draws configurations."""
        return Space(self.space)

    @cached_property
    def trials_possible(self) -> int:
        """The trials that the study can hold: no configuration is trained twice, but for references that are equal."""
        size = self.search_space.size()
        if size is None:
            return self.trials
        references = [identity(configuration) for configuration in self.published.values()]
        return min(self.trials, size + len(references) - len(set(references)))

    def published_hyperparameters(self, label: str) -> Hyperparameters:
        """The published configuration `baseline` or `l2`."""
        return Hyperparameters(**self.published[label])  # type: ignore[arg-type, index]  # checked on reading
