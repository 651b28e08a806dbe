"""Predictions, evaluations, weights and feature maps of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.data.catalog import DatasetInfo
from hw2tune.records.replicates import Training
from hw2tune.study.objectives import objective_of
from hw2tune.train.device import DeviceSplit
from hw2tune.train.loop import predict
from hw2tune.train.metrics import LOSSES, Metric, metric_of, resampled
from hw2tune.train.models import initial_network, load_weights
from hw2tune.train.state import Weights, to_numpy
from hw2tune.train.task import Blueprint, Task

LOGITS_BYTES = 32_000_000  # in half precision: 10,000 images of 1,600 classes
HALF = torch.finfo(torch.float16)
FEATURE_LAYERS = 2  # of the convolutions, the first and the last


def evaluate_network(
    training: Training, task: Task, info: DatasetInfo, test: DeviceSplit, *, shown: Sequence[int]
) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[Any]]]:
    """Evaluate a training for reports: on test by its `chosen` and `last` weights, and as arrays.

    The arrays are those of `records.replicates.write_replicate`; `shown` are the test images whose feature maps stay.
    """
    blueprint, metric = task.blueprint(info), metric_of(task.objective, task.code)
    label_type = np.uint8 if len(blueprint.classes) <= 256 else np.uint16
    arrays: dict[str, NDArray[Any]] = {"labels": test.labels.cpu().numpy().astype(label_type)}
    evaluations = {}
    for which, epoch in (("chosen", training.chosen_epoch or 0), ("last", len(training.epochs))):
        net = network(blueprint, training.weights(which), task.seed, test.images.device)
        logits = predict(net, test, task.seed)
        evaluations[which] = _evaluation(logits, test.labels, task, metric) | {"epoch": epoch}
        predicted, confidence = predictions(logits, label_type)
        if which == "chosen":
            arrays |= {"predicted": predicted, "confidence": confidence}
            arrays |= over_images(logits, test.labels, task, metric)
        else:
            arrays["last_predicted"] = predicted
    images, norms = test.normalised(test.images[list(map(int, shown))]), training.weights("initial_norms")
    arrays |= {f"features/{name}": maps for name, maps in feature_maps(net, images).items()}
    arrays |= {f"weights/{name}": to_numpy(tensor) for name, tensor in net.named_parameters()}
    arrays |= {f"initial_norms/{name}": np.asarray(norm, np.float32) for name, norm in norms.items()}
    return evaluations, arrays


def network(blueprint: Blueprint, weights: Weights, seed: int, device: torch.device) -> nn.Module:
    """The network with these weights, of a training of this seed."""
    built = initial_network(blueprint, seed, device)
    load_weights(built, {name: torch.from_numpy(array) for name, array in weights.items()})
    return built


def evaluation(logits: Tensor, labels: Tensor, loss: str) -> dict[str, Any]:
    """`loss` in nats, `accuracy`, `correct`, `total` of logits (N, K) against labels (N,)."""
    correct = int((logits.argmax(1) == labels).sum())
    return {
        "loss": LOSSES[loss](logits, labels).item(),
        "accuracy": correct / len(labels),
        "correct": correct,
        "total": len(labels),
    }


def _evaluation(logits: Tensor, labels: Tensor, task: Task, metric: Metric | None) -> dict[str, Any]:
    """Return the evaluation with the objective's metric: `metric`, its name, and `value`."""
    found, name = evaluation(logits, labels, task.loss), objective_of(task.objective).metric
    return found | {"metric": name, "value": metric(logits, labels)[name] if metric else found[name]}


def over_images(logits: Tensor, labels: Tensor, task: Task, metric: Metric | None) -> dict[str, NDArray[Any]]:
    """Return what an interval over test images needs besides predictions, and the logits themselves."""
    arrays: dict[str, NDArray[Any]] = {}
    if 2 * logits.numel() <= LOGITS_BYTES:
        arrays["logits"] = logits.clamp(-HALF.max, HALF.max).half().cpu().numpy()
    if task.objective == "validation_loss":
        arrays["losses"] = LOSSES[task.loss](logits, labels, reduction="none").float().cpu().numpy()
    if metric is not None:
        arrays["resampled"] = resampled(metric, logits, labels)
    return arrays


def predictions(
    logits: Tensor, labels: type[np.unsignedinteger[Any]] = np.uint8
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.float32]]:
    """The predicted class (N,), as `labels`, and its probability (N,)."""
    confidence, predicted = logits.softmax(1).max(1)
    return predicted.cpu().numpy().astype(labels), confidence.float().cpu().numpy()


@torch.inference_mode()
def feature_maps(model: nn.Module, images: Tensor) -> dict[str, NDArray[np.float32]]:
    """The output (F, C, H, W) of the first and the last convolutions, by layer name, for normalised images.

    All of them where there are at most FEATURE_LAYERS; a layer that is used twice shows its last use.
    """
    maps: dict[str, NDArray[np.float32]] = {}
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _input, output, name=name: maps.update({name: output.float().cpu().contiguous().numpy()})
        )
        for name, layer in (layers if len(layers) <= FEATURE_LAYERS else [layers[0], layers[-1]])
    ]
    model.eval()
    model(images)
    for hook in hooks:
        hook.remove()
    return maps
