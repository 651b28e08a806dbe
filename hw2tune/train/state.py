"""The state of one training: everything that resuming needs, every random generator included.

All that is drawn comes from generators of the training's own, never from the process's: several trainings can live in
one process, and none of them changes what its caller draws.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.records.atomic import Content
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.draws import seeded
from hw2tune.train.models import draw_from, initial_network, load_weights
from hw2tune.train.optimizers import build_optimizers
from hw2tune.train.task import Blueprint

Weights = dict[str, NDArray[Any]]
NOT_NUMPYS = {torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}  # exact in float32, and exact on the way back

# Added to a training's seed, so that its weights, the order of its images and so on are drawn apart.
ORDER_STREAM, DROPOUT_STREAM, AUGMENT_STREAM, OWN_STREAM = 1_000_003, 2_000_003, 3_000_003, 4_000_003
EVALUATION_STREAM = 5_000_003
EPOCHS = 1_000_003  # more than any training has: the epochs of two seeds draw apart


@dataclass(kw_only=True)
class TrainingState:
    """A network in training, after `epoch` epochs.

    `own_draws` are the states of PyTorch's own generators for this training: a network that draws from them, in a
    dropout of PyTorch's for example, leaves the draws of every other training alone.
    """

    seed: int
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
    network = initial_network(blueprint, seed, device)
    dropout = torch.Generator(device).manual_seed(seed + DROPOUT_STREAM)
    draw_from(network, dropout)
    devices = [torch.device("cpu")] if device.type == "cpu" else [torch.device("cpu"), device]
    return TrainingState(
        seed=seed,
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
    """Set PyTorch's own generators to the training's states, and afterwards back to those of the process.

    Those of `random` and NumPy, of which a checkpoint has no state, begin anew with each epoch of a seed.
    """
    gpus = [state.device] if state.device.type == "cuda" else []
    with seeded(((state.seed + OWN_STREAM) * EPOCHS + state.epoch) % 2**32, gpus):
        torch.set_rng_state(state.own_draws[0])
        for gpu in gpus:
            torch.cuda.set_rng_state(state.own_draws[1], gpu)
        yield
        state.own_draws = (torch.get_rng_state(), *map(torch.cuda.get_rng_state, gpus))


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best epoch so far by the objective, and the network's weights after it, on the CPU."""

    epoch: int
    value: float
    weights: Weights


def checkpoint(state: TrainingState, best: Best | None = None) -> memoryview:
    """Return the whole state as `torch.save` writes it; `restore` continues exactly (on the CPU, bit for bit).

    The best weights are held if they are not those of the state itself.
    """
    content: dict[str, Any] = {
        "model": state.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "order": state.shuffle_generator.get_state(),
        "device": state.device.type,
        "dropout": state.dropout_generator.get_state(),
        "augment": state.augment_generator.get_state(),
        "own_draws": list(state.own_draws),
        "epoch": state.epoch,
    }
    if best is not None:
        content["best"] = {"epoch": best.epoch, "value": best.value}
        if best.epoch != state.epoch:
            content["best"]["model"] = {name: torch.from_numpy(array) for name, array in best.weights.items()}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def restore(state: TrainingState, saved: Content) -> Best | None:
    """Bring a new state to the epoch at which `checkpoint` was taken; return the best epoch, if it was kept."""
    content = _loaded(saved)
    load_weights(state.model, content["model"])
    saved_optimizers = content.get("optimizers") or [content["optimizer"]]  # version 0.1 had one
    for optimizer, saved_optimizer in zip(state.optimizers, saved_optimizers, strict=True):
        optimizer.load_state_dict(saved_optimizer)
    state.shuffle_generator.set_state(content["order"])
    if content.get("device") == state.device.type:  # generators of two kinds of device have nothing in common
        state.dropout_generator.set_state(content["dropout"])
        state.augment_generator.set_state(content["augment"])
        state.own_draws = tuple(content["own_draws"])
    state.epoch = content["epoch"]
    return _best_of(content) if "best" in content else None


def best_in(saved: Content) -> Best:
    """Return the best epoch that a checkpoint holds; in one of an earlier version that is its own."""
    return _best_of(_loaded(saved))


def _loaded(saved: Content) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    content.setdefault("epoch", len(content.get("history", ())))  # the records, until 83dc8fd
    return content


def _best_of(content: Mapping[str, Any]) -> Best:
    best = content.get("best", {"epoch": content["epoch"], "value": math.nan})
    named = best.get("model", content["model"])
    return Best(epoch=best["epoch"], value=best["value"], weights={name: to_numpy(one) for name, one in named.items()})


def size_of(state: TrainingState) -> int:
    """Return the bytes of a checkpoint, nearly; the best weights count as if they were held."""
    held = [value for optimizer in state.optimizers for one in optimizer.state.values() for value in one.values()]
    weights = sum(int(tensor.nbytes) for tensor in state.model.state_dict().values())
    return 2 * weights + sum(int(value.nbytes) for value in held if isinstance(value, Tensor))


def weights_of(model: nn.Module) -> Weights:
    """Parameters and buffers (of batch norm) by name, copies on the CPU; what numpy has no type for as float32."""
    return {name: to_numpy(tensor) for name, tensor in model.state_dict().items()}


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """Return a copy on the CPU."""
    on_cpu = tensor.detach().cpu()
    return (on_cpu.float() if tensor.dtype in NOT_NUMPYS else on_cpu).numpy().copy()
