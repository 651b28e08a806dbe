"""What is read off a trained network: predictions, evaluations, weights, feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.train.batches import DeviceSplit
from hw2tune.train.loop import predict
from hw2tune.train.loss import LOSSES
from hw2tune.train.models import build_model

Weights = dict[str, NDArray[Any]]


def evaluate_network(
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
    arrays |= {f"weights/{name}": weights["last"][name] for name, _ in net.named_parameters()}
    arrays |= {f"initial_norms/{name}": np.asarray(norm, np.float32) for name, norm in initial_norms.items()}
    return evaluations, arrays


def weights_of(model: nn.Module) -> Weights:
    """Parameters and buffers (of batch norm) by name, copies on the CPU."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()}


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
