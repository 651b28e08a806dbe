"""One training kept whole, and what is read off its network afterwards: predictions, weights, feature maps."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.study.task import Task
from hw2tune.train.batches import DeviceSplit, TrainingData
from hw2tune.train.loop import DivergedError, predict, train_epochs
from hw2tune.train.loss import LOSSES
from hw2tune.train.models import build_model
from hw2tune.train.state import best_epoch, new_state

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training. Weights by parameter name; `chosen` are those of the epoch that validation chose.

    A training that diverged has its epochs up to there and `diverged` says how.
    """

    epochs: list[dict[str, Any]]
    chosen_epoch: int | None
    chosen: Weights
    last: Weights
    initial_norms: dict[str, float]
    diverged: str


def train(task: Task, data: TrainingData, device: torch.device) -> Iterator[dict[str, Any] | Trained]:
    """Trains to the end: yields each epoch's record and, as the last thing, what was trained."""
    state = new_state(task.model, task.hyperparameters, seed=task.seed, device=device)
    norms = {name: tensor.norm().item() for name, tensor in state.model.named_parameters()}
    chosen: Weights = {}
    diverged = ""
    try:
        for epoch in train_epochs(
            state, task.hyperparameters, data, loss=LOSSES[task.loss], max_epochs=task.max_epochs
        ):
            if len(data.validation) and best_epoch(state.history, task.objective) == epoch.epoch:
                chosen = weights_of(state.model)
            yield asdict(epoch)
    except DivergedError as error:
        diverged = f"diverged in epoch {state.epoch + 1}: {error}"
    yield Trained(
        epochs=[asdict(epoch) for epoch in state.history],
        chosen_epoch=best_epoch(state.history, task.objective) if chosen else None,
        chosen=chosen,
        last=weights_of(state.model),
        initial_norms=norms,
        diverged=diverged,
    )


def train_as_published(
    task: Task, data: TrainingData, evaluated: DeviceSplit, held_out: DeviceSplit, device: torch.device
) -> Iterator[dict[str, Any]]:
    """Trains as the published runs did and yields each epoch's record.

    It adds `published_test_loss`, `published_test_accuracy` on `evaluated`, what was called test there, and
    `held_out_loss`, `held_out_accuracy` on the images that no training saw.
    """
    state = new_state(task.model, task.hyperparameters, seed=task.seed, device=device)
    epochs = train_epochs(state, task.hyperparameters, data, loss=LOSSES[task.loss], max_epochs=task.max_epochs)
    with contextlib.suppress(DivergedError):  # the epochs up to there are the record
        for epoch in epochs:
            honest = evaluation(predict(state.model, held_out), held_out.labels, task.loss)
            published = honest
            if evaluated is not held_out:
                published = evaluation(predict(state.model, evaluated), evaluated.labels, task.loss)
            record = {name: value for name, value in asdict(epoch).items() if not _is_nan(value)}
            yield record | {
                "published_test_loss": published["loss"],
                "published_test_accuracy": published["accuracy"],
                "held_out_loss": honest["loss"],
                "held_out_accuracy": honest["accuracy"],
            }


def read_off(
    *,
    model: str,
    loss: str,
    weights: Mapping[str, Weights],
    epochs: Mapping[str, int],
    initial_norms: Mapping[str, Any],
    test: DeviceSplit,
    shown: Sequence[int],
    device: torch.device,
) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[Any]]]:
    """What a report needs of a training: evaluations on test of its `chosen` and `last` weights, and arrays.

    The arrays are those of `records.replicates.write_replicate`; `shown` are the test images whose feature maps stay.
    """
    arrays: dict[str, NDArray[Any]] = {"labels": test.labels.cpu().numpy().astype(np.uint8)}
    evaluations = {}
    for which in ("chosen", "last"):
        net = network(model, weights[which], device)
        logits = predict(net, test)
        evaluations[which] = evaluation(logits, test.labels, loss) | {"epoch": epochs[which]}
        predicted, confidence = predictions(logits)
        if which == "chosen":
            arrays |= {"predicted": predicted, "confidence": confidence}
        else:
            arrays["last_predicted"] = predicted
    images = test.normalised(test.images[list(shown)])
    arrays |= {f"features/{name}": maps for name, maps in feature_maps(net, images).items()}
    arrays |= {f"weights/{name}": array for name, array in weights["last"].items()}
    arrays |= {f"initial_norms/{name}": np.asarray(norm, np.float32) for name, norm in initial_norms.items()}
    return evaluations, arrays


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def weights_of(model: nn.Module) -> Weights:
    """The parameters by name, float32 copies on the CPU."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.named_parameters()}


def network(model: str, weights: Weights, device: torch.device) -> nn.Module:
    """The network with these weights."""
    built = build_model(model, device)
    built.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return built


def evaluation(logits: Tensor, labels: Tensor, loss: str) -> dict[str, Any]:
    """`loss` in nats, `accuracy`, `correct`, `total` of logits (N, 10) against labels (N,)."""
    correct = int((logits.argmax(1) == labels).sum())
    return {
        "loss": LOSSES[loss](logits, labels).item(),
        "accuracy": correct / len(labels),
        "correct": correct,
        "total": len(labels),
    }


def predictions(logits: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The predicted class (N,) and its probability (N,)."""
    confidence, predicted = logits.softmax(1).max(1)
    return predicted.to(torch.uint8).cpu().numpy(), confidence.float().cpu().numpy()


@torch.inference_mode()
def feature_maps(model: nn.Module, images: Tensor) -> dict[str, NDArray[np.float32]]:
    """The output (F, C, H, W) of each convolution, by layer name, for normalised images (F, C, H, W)."""
    maps: dict[str, NDArray[np.float32]] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _input, output, name=name: maps.update({name: output.float().cpu().contiguous().numpy()})
        )
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    model.eval()
    model(images)
    for hook in hooks:
        hook.remove()
    return maps
