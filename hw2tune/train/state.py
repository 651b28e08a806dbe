"""The state of one training: everything that resuming needs, every random generator included.

All that is drawn comes from generators of the training's own, never from the process's: several trainings can live in
one process, and none of them changes what its caller draws.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.dropout import draw_from
from hw2tune.train.models import build_model
from hw2tune.train.optimizers import build_optimizer

# Added to a training's seed, so that its weights, the order of its images and its dropout are drawn apart.
ORDER_STREAM, DROPOUT_STREAM = 1_000_003, 2_000_003


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch gave. Losses in nats per image, accuracies as fractions.

    The training figures are means over the epoch's batches, in training mode, as the published runs report them.
    """

    epoch: int  # counted from 1
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_seconds: float
    epoch_seconds: float  # validation included
    images_per_second: float  # training images over train_seconds


@dataclass(kw_only=True)
class TrainingState:
    """A network in training. `history` holds the finished epochs."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    shuffle_generator: torch.Generator  # draws the order of the images
    dropout_generator: torch.Generator  # on the network's device
    device: torch.device
    history: list[Epoch] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)


def new_state(model: str, hyperparameters: Hyperparameters, *, seed: int, device: torch.device) -> TrainingState:
    """A training at epoch 0. One seed gives the same weights and the same order of images for every configuration."""
    with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw their weights from the process's generator
        torch.manual_seed(seed)
        network = build_model(model, device)
    dropout = torch.Generator(device).manual_seed(seed + DROPOUT_STREAM)
    draw_from(network, dropout)
    return TrainingState(
        model=network,
        optimizer=build_optimizer(network, hyperparameters),
        shuffle_generator=torch.Generator().manual_seed(seed + ORDER_STREAM),
        dropout_generator=dropout,
        device=device,
    )


def checkpoint(state: TrainingState) -> bytes:
    """The whole state as `torch.save` writes it; `restore` continues from it exactly (on the CPU, bit for bit)."""
    return _bytes(
        {
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "order": state.shuffle_generator.get_state(),
            "dropout": (state.device.type, state.dropout_generator.get_state()),
            "history": [asdict(epoch) for epoch in state.history],
        }
    )


def restore(state: TrainingState, saved: bytes) -> None:
    """Puts a new state where `checkpoint` was taken."""
    content = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.shuffle_generator.set_state(content["order"])
    device, dropout = content.get("dropout", ("", None))  # checkpoints of version 0.1 have none
    if device == state.device.type:  # generators of two kinds of device have nothing in common
        state.dropout_generator.set_state(dropout)
    state.history[:] = [Epoch(**epoch) for epoch in content["history"]]


def best_epoch(history: list[Epoch], objective: str) -> int:
    """The epoch with the best value of `objective` (a field of Epoch), the first of equals."""
    sign = 1 if objective.endswith("loss") else -1
    return min(history, key=lambda epoch: (sign * getattr(epoch, objective), epoch.epoch)).epoch


def _bytes(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
