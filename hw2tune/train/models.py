"""Networks from what a study says of them. All return logits; softmax and loss are the study's convention."""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import tempfile
import typing
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hw2tune.errors import ModelError
from hw2tune.study.hyperparameters import MODEL
from hw2tune.study.names import MODELS
from hw2tune.train.draws import loaded, seeded
from hw2tune.train.task import Blueprint
from hw2tune.user_code.importer import refuse_untrusted


class Dropout(nn.Module):
    """Drop values with probability `p` in training and scale the others by 1 / (1 - p), as `nn.Dropout` does.

    With `whole_channels` it drops channels of (N, C, H, W), as `nn.Dropout2d`. Without a generator it draws from
    PyTorch's own.
    """

    def __init__(self, p: float, *, whole_channels: bool = False) -> None:
        super().__init__()
        self.p, self.whole_channels = p, whole_channels
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], *(1,) * (x.ndim - 2)) if self.whole_channels else x.shape
        kept = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)


def draw_from(model: nn.Module, generator: torch.Generator) -> None:
    """Make every dropout of a network draw from this generator, which must be on the network's device."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator


def initial_network(blueprint: Blueprint, seed: int, device: torch.device) -> nn.Module:
    """Return the network as a training of this seed begins with it, in every process.

    All that its constructor draws is the same again, also what is not in its state_dict, such as a permutation of the
    pixels: a network is built anew for test, export and predictions. Raises as `build_model` does.
    """
    with (
        seeded(seed),
        tempfile.TemporaryDirectory() as empty,  # no file beside the study is read: it is not part of a training's key
        contextlib.chdir(empty),
    ):
        return build_model(blueprint, device)


def build_model(blueprint: Blueprint, device: torch.device) -> nn.Module:
    """A new network with initial weights drawn from the global generator on the CPU.

    The weights are drawn before the move, so that one seed gives one network on every device. Raises ModelError where
    the arguments do not fit or no module comes of it, and whatever the user's code raises.
    """
    shipped = MODELS.get(blueprint.model)
    factory = loaded(shipped.factory if shipped else blueprint.model, blueprint.code)
    made = factory
    if not isinstance(factory, type):
        with contextlib.suppress(Exception):  # an annotation may name what cannot be imported
            made = typing.get_type_hints(factory).get("return")
    if not (isinstance(made, type) and issubclass(made, nn.Module)):  # as those of torchvision and timm are
        refuse_untrusted("model", blueprint.model, "a network")
    network = factory(**arguments(factory, blueprint))
    if not isinstance(network, nn.Module):
        raise ModelError(f"{blueprint.model}: must return a torch.nn.Module, but returned a {type(network).__name__}")
    if shipped is None:
        return prepared(blueprint.model, network, blueprint.input_shape).to(device)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights by name."""
    network.load_state_dict({own_name(name): tensor for name, tensor in weights.items()})


def own_name(name: str) -> str:
    """Return a weight's name in the network itself: earlier versions kept `_orig_mod.conv.weight` of a compiled one."""
    return name.removeprefix("_orig_mod.")


def arguments(factory: Callable[..., Any], blueprint: Blueprint) -> dict[str, Any]:
    """Return the arguments of a factory: of `input_shape` (channels, height, width), `classes` (their names) and
    `num_classes` those that its signature names, and every hyperparameter of the network.

    A signature with `**kwargs` gets `num_classes` as well. Raises ModelError where something does not fit.
    """
    parameters = inspect.signature(factory).parameters
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [name for name, parameter in parameters.items() if parameter.kind not in variadic]
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


def prepared(name: str, network: nn.Module, input_shape: Sequence[int]) -> nn.Module:
    """The network without `torch.compile`, its lazy layers initialised, in the memory order that it takes.

    Lazy layers draw their weights from the global generator, as other layers do. channels_last is the faster order and
    is used unless only PyTorch's usual order works: `view` across channels and pixels refuses channels_last.
    """
    network = dict(network.named_children()).get("_orig_mod", network)  # of torch.compile
    channels, height, width = input_shape
    _initialise_lazy_layers(name, network, torch.zeros(2, channels, height, width))
    images = torch.zeros(2, height, width, channels).permute(0, 3, 1, 2)  # in channels_last, as batches are
    if not _takes(_in_channels_last, network, images) and _takes(_in_usual_order, network, images):
        return _in_usual_order(network)
    return _in_channels_last(network)


def _in_channels_last(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.channels_last)


def _in_usual_order(network: nn.Module) -> nn.Module:
    def as_copies(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        # `contiguous()` would not do: with one channel images are in both orders, and convolutions take channels_last
        return tuple(images.clone(memory_format=torch.contiguous_format) for images in inputs)

    network.register_forward_pre_hook(as_copies)
    return network


def _initialise_lazy_layers(name: str, network: nn.Module, images: Tensor) -> None:
    """Run one pass in evaluation mode if a layer has no size yet. Raises ModelError if it has none afterwards."""
    for passes in range(2):
        named = itertools.chain(network.named_parameters(), network.named_buffers())
        lazy = next((key for key, tensor in named if is_lazy(tensor)), None)
        if lazy is None:
            return
        if passes:
            raise ModelError(f"{name}: `{lazy}` has no size after a pass over images; use its lazy layer in forward")
        with torch.no_grad():
            network.eval()(images)


def _takes(order: Callable[[nn.Module], nn.Module], network: nn.Module, images: Tensor) -> bool:
    """Return whether a copy of the network in this memory order can process images, in both modes."""
    try:
        tried = order(copy.deepcopy(network))
        with torch.no_grad():
            for training in (True, False):
                tried.train(training)(images)
    except Exception:  # whatever the user's code raises: the probe meets it too, and names its place
        return False
    return True
