"""Models of a study file, and the study itself."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hw2tune.study.conditions import STRICT
from hw2tune.study.hyperparameters import Hyperparameters, Identity, Value, identity, used
from hw2tune.study.names import COMPARING, PRUNERS, RACE, RACE_EACH, RACE_LEAST, RACE_PART, SAMPLERS
from hw2tune.study.objectives import Objective, objective_of
from hw2tune.study.space import Distribution, Space
from hw2tune.text.plain import value_text

MOST_SPLITS = 50  # of a claim
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # a name becomes a folder: nothing that could leave the results

Configuration = dict[str, Value]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _said(description: str, default: Any = ...) -> Any:
    """Return a field with its description for the schema for editors and docs/study-file.md."""
    return Field(default, description=description)


class Sampler(BaseModel):
    """Choice of the next configuration."""

    model_config = STRICT
    name: Annotated[str, Field(min_length=1)] = _said(
        f"{', '.join(SAMPLERS)}, or package.module:Class of an optuna.samplers.BaseSampler", "tpe"
    )
    arguments: dict[str, Any] = _said("given to its class, for example { n_startup_trials = 5 }", {})


class Pruner(BaseModel):
    """Rule that stops a trial. `halving` and `asha` are asynchronous successive halving (Li et al., 2020).

    `halving` compares the best values so far, apart for trials whose learning rate still rises; `asha` the values of
    the epoch itself.
    """

    model_config = STRICT
    name: Annotated[str, Field(min_length=1)] = _said(
        f"{', '.join(PRUNERS)}, or package.module:Class of an optuna.pruners.BasePruner", "halving"
    )
    min_epochs: Annotated[int, Field(ge=1)] = _said("epochs that every trial has", 1)
    reduction_factor: Annotated[int, Field(ge=2)] = _said("halving, asha, hyperband: one trial in so many goes on", 3)
    patience: Annotated[int, Field(ge=1)] | None = _said(
        "epochs without a new best after which a trial is complete; left out, it is trained to the end", None
    )
    arguments: dict[str, Any] = _said("given to its class", {})


TUNED = "tuned"  # the winner of the search


class Side(BaseModel):
    """A configuration of a claim: a reference, a winner, and with `with` the same with other values (an ablation)."""

    model_config = ConfigDict(**STRICT, populate_by_name=True, serialize_by_alias=True)
    of: Annotated[str, Field(description="a reference, `tuned`, or in a study with arms an arm: its winner")] = TUNED
    changes: Annotated[dict[str, Value], Field(alias="with", description="hyperparameters with other values")] = {}
    name: Annotated[str, Field(description="what it is called in figures and tables")] = ""

    @property
    def variant(self) -> str:
        """Name in figures and tables, unique in a study; `safe_name` turns it into names of files."""
        return self._called(lambda value: text if float(text := f"{value:g}") == value else repr(value))

    @property
    def earlier_variant(self) -> str:
        """Name in results of earlier versions, which rounded and cut names, so that several sides could share it."""
        return self._called(lambda value: f"{value:g}")[:64]

    def _called(self, number: Callable[[float], str]) -> str:
        if self.name or not self.changes:
            return self.name or self.of
        texts = (f"{name.removeprefix('model.')}-{value_text(value, number)}" for name, value in self.changes.items())
        return "-".join([self.of, *texts])

    def agrees(self, configuration: Mapping[str, Value]) -> bool:
        return identity({**configuration, **self.changes}) == identity(configuration)


class Claim(BaseModel):
    """One pair to be tested on the same seeds. `sentence` says what makes the difference, for people."""

    model_config = ConfigDict(**STRICT, populate_by_name=True, serialize_by_alias=True)
    a: Annotated[Side, Field(description="a reference's name, `tuned`, or a table as below")]
    b: Annotated[Side, Field(description="what it is held against")]
    sentence: str = _said(
        "what makes the difference; `raises test accuracy by ...`, `lowers ...` or `changes ...` follows it", ""
    )
    worth: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = _said(
        "smallest difference that matters, in the metric's unit: points of accuracy for accuracies and metrics within "
        "[0, 1]; left out, 50 / sqrt(test images) points, and nothing for other metrics",
        None,
    )

    @field_validator("a", "b", mode="before")
    @classmethod
    def _a_name_is_a_side(cls, side: Any) -> Any:
        return {"of": side} if isinstance(side, str) else side


def is_tuning(claim: Claim) -> bool:
    """Return whether a claim compares the winner of the search with a reference."""
    return claim.a.of == TUNED and not claim.a.changes and claim.b.of != TUNED and not claim.b.changes


class Study(BaseModel):
    """A search and its claims: the content of a study file, overridden by the options of the command line.

    `code` holds the user's own modules that the study names, by file name: it is read from beside the study file.
    """

    model_config = ConfigDict(**STRICT, ignored_types=(cached_property,))
    name: Name = _said("the study's folder in the results")
    dataset: Annotated[str, Field(min_length=1)] = _said(
        "a data set's name (`hw2tune data` lists them), a folder of images by its path, or data.py:load"
    )
    model: Annotated[str, Field(min_length=1)] = _said(
        "mnist_cnn, cifar10_cnn, net.py:Name of a file beside the study file, or package.module:factory"
    )
    loss: Literal["cross_entropy", "double_softmax"] = _said(
        "cross_entropy (the network returns logits) or double_softmax (softmax outputs go into a cross-entropy that "
        "takes a softmax again, as the published MNIST runs did)",
        "cross_entropy",
    )
    max_epochs: Annotated[int, Field(ge=1)] = _said("epochs of a trial that is not stopped")
    validation_size: Annotated[int, Field(ge=1)] | Share | None = _said(
        "images that validate, a number or a share; stratified, equal pictures and groups never split", None
    )
    train_size: Annotated[int, Field(ge=1)] | None = _said(
        "images that train; the others of the training split are left out, each class in proportion (left out, all)",
        None,
    )
    test_share: Share | None = _said("of a folder without test: the share that is kept for the test", None)
    split_seed: Annotated[int, Field(ge=0)] = _said("draws the validation images", 0)
    resize: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)] | None = _said(
        "[height, width] that the images of a folder get", None
    )
    allow_overlap: str = _said(
        "a reason to let images be in two splits; it is a caveat beside every figure, with their number", ""
    )
    objective: Annotated[str, Field(min_length=1)] = _said(
        "validation_accuracy, validation_loss, balanced_accuracy, macro_f1, or metrics.py:name of a function of "
        "(logits, labels) whose value is better when it is larger",
        "validation_accuracy",
    )
    second_objective: Literal["seconds", "parameters"] | None = _said(
        "for nsga2, experimental: what shall be small besides, seconds of training or parameters of the network", None
    )
    trials: Annotated[int, Field(ge=1)] = _said("trials in all, the references first", 50)
    budget: Annotated[int, Field(ge=1)] | None = _said(
        "epochs of search and race, as so many trials of max_epochs; from 24 on the last sixth, at most 12, is for the "
        "race; what stopped trials save is spent on more of them, `trials` at most (left out, as many as fit)",
        None,
    )
    sampler: Sampler = _said("what chooses configurations: a name, or a table", Sampler())
    seed: Annotated[int, Field(ge=0)] = _said("of sampler, weights and order of images", 0)
    order: Literal["arrival", "virtual"] = _said(
        "order in which results count: arrival, or virtual, which makes the same study the same again, whichever trial "
        "ends first",
        "arrival",
    )
    slots: Annotated[int, Field(ge=1)] | None = _said(
        'with order = "virtual", parallel trials that the order assumes, whatever number really runs (left out, as '
        "many as can run at the study's start)",
        None,
    )
    pruner: Pruner = _said("what stops trials: a name, or a table", Pruner())
    training: Configuration = _said("hyperparameters that are the same for every trial", {})
    space: dict[str, Distribution] = _said("hyperparameters that are searched")
    arms: dict[Name, dict[str, Distribution]] = _said(
        "sides that are each searched on the same budget and seed: hyperparameters that one fixes, or narrows; the "
        "study is then searched in its arms alone",
        {},
    )
    searches: Annotated[int, Field(ge=1, le=50)] = _said(
        "searches of each arm, each on a seed of its own; with two or more a claim is about searches, and its n is "
        "their number",
        1,
    )
    references: dict[Name, Configuration] = _said("known configurations by name: the first trials, never stopped", {})
    enqueue: list[Configuration] = _said("configurations to be tried next", [])
    claims: list[Claim] = _said(
        "pairs to be tested on the same seeds: side a, side b, and a sentence that says what makes the difference; a "
        'side is a reference, "tuned", an arm, or { of = "tuned", with = { ... } }; without any, tuned against the '
        "first reference, or the first arm against each other one",
        [],
    )
    replicates: Literal["auto"] | Annotated[int, Field(ge=1)] = _said(
        'seeds that each side of a claim is trained on: a number, or "auto" for one more seed at a time until every '
        "claim is decided, or more seeds are unlikely to decide it",
        "auto",
    )
    splits: Annotated[int, Field(ge=1, le=MOST_SPLITS)] = _said(
        "splits of training and validation images, drawn anew from the same images, on which each side of a claim is "
        "trained, on `replicates` seeds each; with two or more a claim is about splits (1, the study's own split)",
        1,
    )
    max_replicates: Annotated[int, Field(ge=1)] = _said('seeds at most with replicates = "auto"', 20)
    code: Annotated[dict[str, str], Field(exclude=True, repr=False)] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _a_budget_alone_bounds_the_trials(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and content.get("budget") and "trials" not in content:
            budget, epochs = content["budget"], content.get("max_epochs")
            if isinstance(budget, int) and isinstance(epochs, int):
                return {**content, "trials": max(1, budget * epochs)}
        return content

    @property
    def objective_spec(self) -> Objective:
        return objective_of(self.objective)

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return self.objective_spec.direction

    @cached_property
    def search_space(self) -> Space:
        return Space(self.space)

    @cached_property
    def configurations(self) -> dict[Identity, Configuration] | None:
        """Configurations in [space], each training once; None if they cannot be counted, or may be thousands."""
        listed = self.search_space.configurations()
        return None if listed is None else self._distinct(listed)

    def _distinct(self, configurations: Iterable[Configuration]) -> dict[Identity, Configuration]:
        distinct: dict[Identity, Configuration] = {}
        for one in configurations:
            distinct.setdefault(identity(self.complete(one)), one)
        return distinct

    @property
    def trials_possible(self) -> int:
        """Number of possible trials: no configuration is trained twice."""
        if self.configurations is None:
            return self.trials
        outside = self._distinct([*self.references.values(), *self.enqueue]).keys() - self.configurations.keys()
        return min(self.trials, len(self.configurations) + len(outside))

    @property
    def race_trainings(self) -> int | None:
        """Trainings of the race within the budget; None if it has no budget. A few would tell less than they cost."""
        if self.budget is None:
            return None
        part = min(self.budget // RACE_PART, RACE_EACH * RACE)  # it would have no use for more
        return part if part >= RACE_LEAST else 0

    @property
    def budget_epochs(self) -> int | None:
        """Epochs that all trials of the search may spend together; None if only the number of trials ends it."""
        return None if self.budget is None else (self.budget - (self.race_trainings or 0)) * self.max_epochs

    @property
    def references_possible(self) -> int:
        """Number of first trials that are references."""
        return min(len(self._distinct(self.references.values())), self.trials_possible)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs before the last one at which the pruner compares trials."""
        pruner, found = self.pruner, list[int]()
        epoch = pruner.min_epochs if pruner.name in COMPARING else self.max_epochs
        while epoch < self.max_epochs:
            found.append(epoch)
            epoch *= pruner.reduction_factor
        return tuple(found)

    @property
    def least_epochs(self) -> int:
        """Epochs that a trial needs to be compared with others: those of its first rung."""
        return (*self.rungs, self.max_epochs)[0]

    def trials_left(self, begun: int, epochs: int) -> int:
        """Return the number of trials that may begin after `begun` ones with so many epochs: references always."""
        if self.budget_epochs is not None and epochs + self.least_epochs > self.budget_epochs:
            return max(0, self.references_possible - begun)
        return max(0, self.trials_possible - begun)

    @property
    def extent(self) -> tuple[int, str]:
        """Size of the study and its unit: trials, or with a budget epochs."""
        return (self.trials_possible, "trials") if self.budget_epochs is None else (self.budget_epochs, "epochs")

    def done(self, trials: int, epochs: int) -> int:
        """Return the part of the extent that so many trials with so many epochs make up."""
        return trials if self.budget_epochs is None else epochs

    @cached_property
    def variants(self) -> dict[str, Side]:
        """Configurations of the claims by name, which replicates train: references, the winner, then derived ones."""
        sides = {side.variant: side for claim in self.claims for side in (claim.a, claim.b)}
        sides = sides or {arm: Side(of=arm) for arm in self.arms} or {TUNED: Side()}
        order = [*self.references, *self.arms, TUNED]
        plain = {name: sides[name] for name in order if name in sides and not sides[name].changes}
        return plain | {name: side for name, side in sides.items() if name not in plain}

    @property
    def optimizers(self) -> list[str]:
        """The optimizers that a trial can have."""
        searched = self.space.get("optimizer")
        return [str(self.training.get("optimizer"))] if searched is None else list(map(str, searched.values or ()))

    @property
    def fixed(self) -> Configuration:
        """What [training] fixes, without what none of the optimizers has."""
        return {name: value for name, value in self.training.items() if self.can_use(name, self.training)}

    def can_use(self, name: str, configuration: Mapping[str, Value]) -> bool:
        """Return whether a trial can use a hyperparameter of a configuration, which may leave out what is searched."""
        searched: Configuration = {"momentum": 0.5} if "momentum" in self.space else {}  # any but none
        given = [configuration["optimizer"]] if "optimizer" in configuration else self.optimizers
        return any(name in used({**searched, **configuration, "optimizer": one}) for one in given)

    def complete(self, configuration: Mapping[str, Value]) -> Configuration:
        """Return a configuration with what [training] fixes, without what its optimizer lacks."""
        return used({**self.training, **configuration})

    def hyperparameters(self, configuration: Mapping[str, Value]) -> Hyperparameters:
        return Hyperparameters.of({**self.training, **configuration})

    def reference(self, name: str) -> Hyperparameters:
        return self.hyperparameters(self.references[name])
