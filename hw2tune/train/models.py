"""Networks from what a study says of them. All return logits; softmax and loss are the study's convention."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hw2tune.errors import ModelError
from hw2tune.study.hyperparameters import MODEL
from hw2tune.study.models import MODELS
from hw2tune.train.own_network import prepared
from hw2tune.train.task import Blueprint
from hw2tune.user_code.importer import load
from hw2tune.user_code.trust import refuse_untrusted


def build_model(blueprint: Blueprint, device: torch.device) -> nn.Module:
    """A new network with initial weights drawn from the global generator on the CPU.

    The weights are drawn before the move, so that one seed gives one network on every device. Raises ModelError where
    the arguments do not fit or no module comes of it, and whatever the user's code raises.
    """
    shipped = MODELS.get(blueprint.model)
    factory = load(shipped.factory if shipped else blueprint.model, blueprint.code)
    if not _builds_networks(factory):
        refuse_untrusted("model", blueprint.model, "a network")
    network = factory(**arguments(factory, blueprint))
    if not isinstance(network, nn.Module):
        raise ModelError(f"{blueprint.model}: must return a torch.nn.Module, but returned a {type(network).__name__}")
    if shipped is None:
        return prepared(blueprint.model, network, blueprint.input_shape).to(device)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _builds_networks(factory: Any) -> bool:
    """Return whether a factory is a class of networks or annotated to return one, as those of torchvision and timm."""
    made = factory
    if not isinstance(factory, type):
        with contextlib.suppress(Exception):  # an annotation may name what cannot be imported
            made = typing.get_type_hints(factory).get("return")
    return isinstance(made, type) and issubclass(made, nn.Module)


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights by name; earlier versions kept those of a compiled network as `_orig_mod.conv.weight`."""
    network.load_state_dict({name.removeprefix("_orig_mod."): tensor for name, tensor in weights.items()})


def arguments(factory: Callable[..., Any], blueprint: Blueprint) -> dict[str, Any]:
    """What a factory is called with: of `input_shape` (channels, height, width), `classes` (their names) and
    `num_classes` those that its signature names, and every hyperparameter of the network.

    A signature with `**kwargs` gets `num_classes` as well. Raises ModelError where something does not fit.
    """
    parameters = inspect.signature(factory).parameters
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = [name for name, parameter in parameters.items() if parameter.kind not in _VARIADIC]
    offered = {
        "input_shape": blueprint.input_shape,
        "classes": list(blueprint.classes),
        "num_classes": len(blueprint.classes),
    }
    given = {name: value for name, value in offered.items() if name in named}
    if takes_more and not {"num_classes", "classes"} & set(named):
        given["num_classes"] = len(blueprint.classes)
    given |= blueprint.hyperparameters
    shown = f"{blueprint.model}({', '.join(named)}{', **kwargs' if takes_more else ''})"
    if unknown := [name for name in blueprint.hyperparameters if name not in named and not takes_more]:
        raise ModelError(f"{MODEL}{unknown[0]}: is no argument of {shown}")
    missing = [name for name in named if name not in given and parameters[name].default is inspect.Parameter.empty]
    if missing:
        raise ModelError(
            f"{shown} needs `{missing[0]}`: give {MODEL}{missing[0]} in [space] or [training], or give the argument a "
            "default"
        )
    return given


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
