"""Losses in nats per image, and objectives beside loss and accuracy, of logits (N, K) and labels (N,)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from hw2tune.errors import ModelError
from hw2tune.train.draws import loaded
from hw2tune.user_code.importer import refuse_untrusted

Loss = Callable[[Tensor, Tensor], Tensor]


def double_softmax(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross-entropy that takes softmax *outputs* for logits, as the published MNIST runs did.

    With 10 classes it lies between 1.4612 (probability 1 on the right class) and 2.4612.
    """
    return cross_entropy(logits.softmax(1), labels, label_smoothing=label_smoothing, reduction=reduction)


# Validation and test are evaluated without label smoothing.
LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "double_softmax": double_softmax}

RESAMPLES = 200  # their covariance is then within 10 % of its own, a standard error
Metric = Callable[[Tensor, Tensor], dict[str, float]]  # values by name


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """The mean, over the classes that occur, of the share of their images that is recognised."""
    right, _, actual = _counts(logits, labels)
    there = actual > 0
    return float((right[there] / actual[there]).mean())


def macro_f1(logits: Tensor, labels: Tensor) -> float:
    """The mean F1 score over the classes that occur or are predicted: 2 * right / (predicted + actual)."""
    right, predicted, actual = _counts(logits, labels)
    there = (predicted + actual) > 0
    return float((2 * right[there] / (predicted + actual)[there]).mean())


_OURS = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}


def metric_of(objective: str, code: Mapping[str, str]) -> Metric | None:
    """Return the metric of an objective; None for those that every epoch has. Raises ModelError for no number."""
    if objective in ("validation_accuracy", "validation_loss"):
        return None
    if objective not in _OURS:
        refuse_untrusted("objective", objective, "an objective")
    function = _OURS.get(objective) or loaded(objective, code)

    def metric(logits: Tensor, labels: Tensor) -> dict[str, float]:
        value = function(logits, labels)
        try:
            return {objective: float(value)}
        except (TypeError, ValueError):
            raise ModelError(f"{objective}: must return a number, but returned a {type(value).__name__}") from None

    return metric


def resampled(metric: Metric, logits: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Return the metric (RESAMPLES,) on samples of the images with replacement; NaN for a sample that it refuses.

    The samples of N images are the same in every process and version: two networks are compared on them.
    """
    draws = np.random.RandomState(0)  # NumPy keeps this stream as it is; a Generator's may change
    values = []
    for _ in range(RESAMPLES):
        sample = torch.from_numpy(draws.randint(0, len(labels), len(labels))).to(labels.device)
        try:
            (value,) = metric(logits[sample], labels[sample]).values()
        except Exception:  # the user's function; the same one has taken the whole test split
            value = math.nan
        values.append(value)
    return np.array(values)


def _counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By class (K,): the images recognised, predicted to be of it, and of it."""
    classes, predicted = logits.shape[1], logits.argmax(1)
    right = torch.bincount(labels[predicted == labels], minlength=classes).double()
    return (
        right,
        torch.bincount(predicted, minlength=classes).double(),
        torch.bincount(labels, minlength=classes).double(),
    )
