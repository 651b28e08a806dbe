"""What a study file may hold, and the study that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hw2tune.study.claims import Claim, Side, variants_of
from hw2tune.study.distributions import STRICT, Distribution, as_table
from hw2tune.study.hyperparameters import Hyperparameters, Value, identity
from hw2tune.study.objectives import Objective, objective_of
from hw2tune.study.space import Space

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # a name becomes a folder: nothing that could leave the results

Configuration = dict[str, Value]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Sampler(BaseModel):
    """What chooses the next configuration, by its name here or by an import path; `arguments` go to its class."""

    model_config = STRICT
    name: Annotated[str, Field(min_length=1)] = "tpe"
    arguments: dict[str, Any] = Field(default_factory=dict)


class Pruner(BaseModel):
    """When an unpromising trial is stopped. `asha` is asynchronous successive halving (Li et al., 2020).

    `arguments` go to the class of Optuna's, or of the user's, that the name stands for.
    """

    model_config = STRICT
    name: Annotated[str, Field(min_length=1)] = "asha"
    min_epochs: Annotated[int, Field(ge=1)] = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    arguments: dict[str, Any] = Field(default_factory=dict)


class Study(BaseModel):
    """What is searched and what is claimed: the content of a study file, with the options of the command line over it.

    `loss` is `cross_entropy` (the network's outputs are logits) or `double_softmax` (softmax outputs go into a
    cross-entropy that takes a softmax again, as the published MNIST runs did; its smallest value is 1.4612 nats).
    `code` holds the user's own modules that the study names, by file name: it is read from beside the study file.
    """

    model_config = ConfigDict(**STRICT, ignored_types=(cached_property,))
    name: Name
    dataset: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    loss: Literal["cross_entropy", "double_softmax"] = "cross_entropy"
    max_epochs: Annotated[int, Field(ge=1)]
    validation_size: Annotated[int, Field(ge=1)] | Share | None = None
    test_share: Share | None = None
    split_seed: Annotated[int, Field(ge=0)] = 0
    resize: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)] | None = None
    allow_overlap: str = ""
    objective: Annotated[str, Field(min_length=1)] = "validation_accuracy"
    second_objective: Literal["seconds", "parameters"] | None = None
    trials: Annotated[int, Field(ge=1)] = 50
    sampler: Sampler = Sampler()
    seed: Annotated[int, Field(ge=0)] = 0
    pruner: Pruner = Pruner()
    training: Configuration = Field(default_factory=dict)
    space: dict[str, Distribution]
    references: dict[Name, Configuration] = Field(default_factory=dict)
    enqueue: list[Configuration] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    code: Annotated[dict[str, str], Field(exclude=True, repr=False)] = Field(default_factory=dict)

    @field_validator("space", mode="before")
    @classmethod
    def _plain_values_are_choices(cls, space: Any) -> Any:
        return {k: as_table(v) for k, v in space.items()} if isinstance(space, Mapping) else space

    @property
    def objective_spec(self) -> Objective:
        """What is known of the objective."""
        return objective_of(self.objective)

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way the objective is better."""
        return self.objective_spec.direction

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
        references = [identity(self.complete(configuration)) for configuration in self.references.values()]
        return min(self.trials, size + len(references) - len(set(references)))

    @cached_property
    def variants(self) -> dict[str, Side]:
        """The configurations that replicates train, by name: those that the claims name."""
        return variants_of(self.claims, self.references)

    def complete(self, configuration: Mapping[str, Value]) -> Configuration:
        """A configuration with what [training] fixes for all of them."""
        return {**self.training, **configuration}

    def hyperparameters(self, configuration: Mapping[str, Value]) -> Hyperparameters:
        """A configuration as it is trained."""
        return Hyperparameters.of(self.complete(configuration))

    def reference(self, name: str) -> Hyperparameters:
        """The reference of this name as it is trained."""
        return self.hyperparameters(self.references[name])
