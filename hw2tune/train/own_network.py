"""Preparation of a user's network for training: not compiled, all sizes known, in a memory order that it takes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hw2tune.errors import ModelError


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
    """Runs one pass in evaluation mode if a layer has no size yet. Raises ModelError if it has none afterwards."""
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
