"""The state of one training: everything that resuming needs, every random generator included.

All that is drawn comes from generators of the training's own, never from the process's: several trainings can live in
one process, and none of them changes what its caller draws.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.models import build_model, draw_from, load_weights
from hw2tune.train.optimizers import build_optimizers
from hw2tune.train.task import Blueprint

# Added to a training's seed, so that its weights, the order of its images and so on are drawn apart.
ORDER_STREAM, DROPOUT_STREAM, AUGMENT_STREAM, OWN_STREAM = 1_000_003, 2_000_003, 3_000_003, 4_000_003


@dataclass(kw_only=True)
class TrainingState:
    """A network in training, after `epoch` epochs.

    `own_draws` are the states of PyTorch's own generators for this training: a network that draws from them, in a
    dropout of PyTorch's for example, leaves the draws of every other training alone.
    """

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    shuffle_generator: torch.Generator  # draws the order of the images
    dropout_generator: torch.Generator  # on the network's device
    augment_generator: torch.Generator  # on the network's device
    own_draws: tuple[Tensor, ...]  # of the CPU and, where the network is there, of the GPU
    device: torch.device
    epoch: int = 0


def new_state(
    blueprint: Blueprint, hyperparameters: Hyperparameters, *, seed: int, device: torch.device
) -> TrainingState:
    """Return a training at epoch 0. One seed gives every configuration the same weights and order of images."""
    with (
        torch.random.fork_rng(devices=[]),  # PyTorch's layers draw their weights from the process's generator
        tempfile.TemporaryDirectory() as empty,  # no file beside the study is read: it is not part of a training's key
        contextlib.chdir(empty),
    ):
        torch.manual_seed(seed)
        network = build_model(blueprint, device)
    dropout = torch.Generator(device).manual_seed(seed + DROPOUT_STREAM)
    draw_from(network, dropout)
    devices = [torch.device("cpu")] if device.type == "cpu" else [torch.device("cpu"), device]
    return TrainingState(
        model=network,
        optimizers=build_optimizers(network, hyperparameters),
        shuffle_generator=torch.Generator().manual_seed(seed + ORDER_STREAM),
        dropout_generator=dropout,
        augment_generator=torch.Generator(device).manual_seed(seed + AUGMENT_STREAM),
        own_draws=tuple(torch.Generator(each).manual_seed(seed + OWN_STREAM).get_state() for each in devices),
        device=device,
    )


@contextlib.contextmanager
def own_draws(state: TrainingState) -> Iterator[None]:
    """Set PyTorch's own generators to the training's states, and afterwards back to those of the process."""
    gpus = [state.device] if state.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.set_rng_state(state.own_draws[0])
        for gpu in gpus:
            torch.cuda.set_rng_state(state.own_draws[1], gpu)
        yield
        state.own_draws = (torch.get_rng_state(), *map(torch.cuda.get_rng_state, gpus))


def checkpoint(state: TrainingState) -> bytes:
    """Return the whole state as `torch.save` writes it; `restore` continues exactly (on the CPU, bit for bit)."""
    content = {
        "model": state.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "order": state.shuffle_generator.get_state(),
        "device": state.device.type,
        "dropout": state.dropout_generator.get_state(),
        "augment": state.augment_generator.get_state(),
        "own_draws": list(state.own_draws),
        "epoch": state.epoch,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def restore(state: TrainingState, saved: bytes) -> None:
    """Bring a new state to the epoch at which `checkpoint` was taken."""
    content = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    load_weights(state.model, content["model"])
    saved_optimizers = content.get("optimizers") or [content["optimizer"]]  # version 0.1 had one
    for optimizer, saved_optimizer in zip(state.optimizers, saved_optimizers, strict=True):
        optimizer.load_state_dict(saved_optimizer)
    state.shuffle_generator.set_state(content["order"])
    if content.get("device") == state.device.type:  # generators of two kinds of device have nothing in common
        state.dropout_generator.set_state(content["dropout"])
        state.augment_generator.set_state(content["augment"])
        state.own_draws = tuple(content["own_draws"])
    state.epoch = content["epoch"] if "epoch" in content else len(content["history"])  # the records, until 83dc8fd
