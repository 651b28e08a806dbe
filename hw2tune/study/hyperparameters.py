"""The hyperparameters and the optimizers: names, domains, defaults, and one configuration of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import Any, Literal

Value = bool | int | float | str
Identity = tuple[tuple[str, Value], ...]

MODEL = "model."  # prefix of a network's own hyperparameters, whose meaning is in the network's code
SCHEDULES = ("constant", "cosine", "one_cycle")
AUGMENTATIONS = ("flip", "crop", "cutout")  # any of them, in this order, joined by `+`
_AUGMENT = ["none", *("+".join(parts) for n in (1, 2, 3) for parts in combinations(AUGMENTATIONS, n))]


ONE_CYCLE_WARMUP = 0.3  # share of the steps over which `one_cycle` rises if none is given, as in PyTorch's OneCycleLR


def is_number(value: Any) -> bool:
    """Return whether a value is a finite int or float, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """An optimizer of `torch.optim`: the hyperparameters that it `takes` besides those of all, with its defaults.

    `decoupled`: weight decay is taken off the weights themselves (Loshchilov and Hutter, 2019), not off the gradient.
    """

    torch_name: str
    takes: Mapping[str, bool | float] = field(default_factory=dict)
    decoupled: bool = False

    @property
    def name(self) -> str:
        """Name in study files: the class's in small letters."""
        return self.torch_name.lower()


_BETAS = {"beta1": 0.9, "beta2": 0.999}

OPTIMIZERS = {
    spec.name: spec
    for spec in (
        OptimizerSpec(torch_name="SGD", takes={"momentum": 0.0, "nesterov": False}),
        OptimizerSpec(torch_name="Adam", takes=_BETAS),
        OptimizerSpec(torch_name="AdamW", takes=_BETAS, decoupled=True),
        OptimizerSpec(torch_name="RMSprop", takes={"momentum": 0.0}),
        OptimizerSpec(torch_name="RAdam", takes=_BETAS),
        OptimizerSpec(torch_name="NAdam", takes=_BETAS),
        OptimizerSpec(torch_name="Adagrad"),
        # For weight matrices; everything else of the network is trained by AdamW (see `train.optimizers`).
        OptimizerSpec(torch_name="Muon", takes={"momentum": 0.95, "nesterov": True}, decoupled=True),
    )
}


@dataclass(frozen=True)
class HyperparameterSpec:
    """A hyperparameter as study files, terminal and report know it; training holds its effect."""

    name: str
    label: str  # in a sentence and at an axis
    short: str  # on one line of the terminal
    kind: Literal["number", "integer", "text", "switch"]
    condition: str  # on its values, as text
    holds: Callable[[Any], bool]
    absent: Value | None = None  # its value in a configuration without it; None if it is required

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers that have it; empty if all do."""
        return tuple(name for name, spec in OPTIMIZERS.items() if self.name in spec.takes)


def _number(
    name: str, label: str, short: str, condition: str, holds: Callable[[float], bool], absent: float | None = None
) -> HyperparameterSpec:
    text = f"a number {condition}"
    return HyperparameterSpec(
        name, label, short, "number", text, lambda value: is_number(value) and holds(value), absent
    )


def _fraction(name: str, label: str, short: str, absent: float) -> HyperparameterSpec:
    return _number(name, label, short, f"with 0 <= {name} < 1", lambda value: 0 <= value < 1, absent)


def _one_of(name: str, label: str, short: str, choices: Iterable[str], absent: str | None = None) -> HyperparameterSpec:
    known = tuple(choices)
    return HyperparameterSpec(name, label, short, "text", f"one of {', '.join(known)}", known.__contains__, absent)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


HYPERPARAMETERS = {
    spec.name: spec
    for spec in (
        _number("learning_rate", "learning rate", "lr", "> 0", lambda value: value > 0),
        HyperparameterSpec("batch_size", "batch size", "batch", "integer", "an integer >= 1", _is_count),
        _one_of("optimizer", "optimizer", "", OPTIMIZERS),
        _fraction("momentum", "momentum", "mom", 0.0),
        HyperparameterSpec("nesterov", "Nesterov momentum", "nesterov", "switch", "true or false", _is_switch, False),
        _fraction("beta1", "beta1", "beta1", 0.9),
        _fraction("beta2", "beta2", "beta2", 0.999),
        _number("weight_decay", "weight decay", "wd", ">= 0", lambda value: value >= 0, 0.0),
        _one_of("schedule", "schedule", "sched", SCHEDULES, "constant"),
        _fraction("warmup", "warm-up share", "warmup", 0.0),
        _fraction("label_smoothing", "label smoothing", "smooth", 0.0),
        _one_of("augment", "augmentation", "aug", _AUGMENT, "none"),
        _number("gradient_clip", "gradient clip", "clip", ">= 0", lambda value: value >= 0, 0.0),
    )
}
KNOWN = tuple(HYPERPARAMETERS)
REQUIRED = tuple(name for name, spec in HYPERPARAMETERS.items() if spec.absent is None)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """One configuration, as the training loop takes it; None for hyperparameters that its optimizer lacks.

    `weight_decay` means what the optimizer means by it: coupled L2 in `sgd` and `adam`, decoupled in `adamw`.
    `warmup` is a share of all steps; `gradient_clip` is the largest L2 norm of a step's gradient, 0 for none.
    """

    learning_rate: float
    batch_size: int
    optimizer: str
    momentum: float | None = None
    nesterov: bool | None = None
    beta1: float | None = None
    beta2: float | None = None
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    augment: str = "none"
    gradient_clip: float = 0.0
    model: Mapping[str, Value] = field(default_factory=dict, hash=False)  # of the network, by name

    @classmethod
    def of(cls, configuration: Mapping[str, Value]) -> Hyperparameters:
        """Return the hyperparameters of a configuration by the names of study files, `model.<name>` among them."""
        training: dict[str, Any] = {name: value for name, value in configuration.items() if not of_model(name)}
        model = {name.removeprefix(MODEL): value for name, value in configuration.items() if of_model(name)}
        return cls(**training, model=model)

    def as_dict(self) -> dict[str, Value]:
        """Return a dictionary by the names of study files, without what the optimizer lacks.

        Later additions to the published five are left out at their defaults.
        """
        return used(self.as_given())

    def as_given(self) -> dict[str, Value]:
        """Return `as_dict` with what the optimizer lacks, which is part of the key of a training."""
        everything = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "model"}
        there = {
            name: value
            for name, value in everything.items()
            if value is not None and (name in _ALWAYS or value != HYPERPARAMETERS[name].absent)
        }
        return there | {MODEL + name: value for name, value in self.model.items()}


_ALWAYS = (*REQUIRED, "momentum", "weight_decay", "nesterov", "beta1", "beta2")


def rising_share(schedule: str, warmup: float) -> float:
    """Return the share of all steps over which the learning rate rises."""
    return warmup or (ONE_CYCLE_WARMUP if schedule == "one_cycle" else 0.0)


def of_model(name: str) -> bool:
    """Return whether a name is that of a network's own hyperparameter."""
    return name.startswith(MODEL)


def error_in_value(name: str, value: Any) -> str | None:
    """Return the condition that `value` breaks as `name`, or None. `name` must be known or a network's."""
    if of_model(name):
        sound = is_number(value) or isinstance(value, bool | str)
        return None if sound else f"must be a finite number, true, false or text, but got {value!r}"
    spec = HYPERPARAMETERS[name]
    return None if spec.holds(value) else f"must be {spec.condition}, but got {value!r}"


def of_their_kinds(configuration: Mapping[str, Value]) -> bool:
    """Return whether each known hyperparameter is a number, or text or a switch, as its kind is."""
    return all(
        isinstance(configuration[name], str | bool) == (spec.kind in ("text", "switch"))
        for name, spec in HYPERPARAMETERS.items()
        if configuration.get(name) is not None
    )


def used(configuration: Mapping[str, Value]) -> dict[str, Value]:
    """Return a configuration without what its optimizer lacks; complete if it names no optimizer.

    There is no Nesterov momentum without momentum: PyTorch rejects it.
    """
    if (optimizer := OPTIMIZERS.get(str(configuration.get("optimizer")))) is None:
        return dict(configuration)
    lacking = {name for one in OPTIMIZERS.values() for name in one.takes} - optimizer.takes.keys()
    if configuration.get("nesterov") and not configuration.get("momentum", optimizer.takes.get("momentum")):
        lacking.add("nesterov")
    return {name: value for name, value in configuration.items() if name not in lacking}


def identity(configuration: Mapping[str, Value]) -> Identity:
    """Return a key that two configurations share if they train the same, however they are written."""
    optimizer = OPTIMIZERS.get(str(configuration.get("optimizer")))
    takes = optimizer.takes if optimizer else {}
    absent = {name: takes.get(name, spec.absent) for name, spec in HYPERPARAMETERS.items()}
    given = used({name: value for name, value in configuration.items() if value is not None})
    lacking = {name for one in OPTIMIZERS.values() for name in one.takes} - takes.keys()
    complete = {name: value for name, value in {**absent, **given}.items() if value is not None and name not in lacking}
    if complete["schedule"] == "constant" and not complete["warmup"]:
        del complete["warmup"]
    return tuple(
        sorted((name, value if isinstance(value, str | bool) else float(value)) for name, value in complete.items())
    )
