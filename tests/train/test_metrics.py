"""Objectives beside accuracy and loss, by hand; and what a function of the user's must return."""

import numpy as np
import pytest
import torch

from benchmarks.metric_intervals import METRICS, values, weights
from hw2tune.errors import ModelError
from hw2tune.train.metrics import balanced_accuracy, macro_f1, metric_of, resampled

LABELS = torch.tensor([0, 0, 0, 1, 1, 2])
LOGITS = torch.eye(4)[torch.tensor([0, 0, 1, 1, 0, 2])]  # class 3 neither occurs nor is predicted


def test_each_class_counts_alike():
    assert balanced_accuracy(LOGITS, LABELS) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert macro_f1(LOGITS, LABELS) == pytest.approx((2 * 2 / 6 + 2 * 1 / 4 + 1) / 3)


def test_the_benchmark_of_their_intervals_computes_the_same_on_the_same_samples():
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 6, (2, 40))
    logits = torch.eye(6)[torch.from_numpy(predicted)]
    ours = [resampled(metric_of(name, {}), logits, torch.from_numpy(labels)) for name in METRICS]
    theirs = values(weights(40), labels, predicted)
    assert theirs[:, 0] == pytest.approx([f(logits, torch.from_numpy(labels)) for f in (balanced_accuracy, macro_f1)])
    assert theirs[:, 1:] == pytest.approx(np.array(ours))


def test_what_every_epoch_has_needs_no_metric():
    assert metric_of("validation_accuracy", {}) is None and metric_of("validation_loss", {}) is None
    assert metric_of("macro_f1", {})(LOGITS, LABELS) == {"macro_f1": pytest.approx(macro_f1(LOGITS, LABELS))}


def test_a_function_of_the_users_returns_a_number():
    code = {"m.py": "def share(logits, labels):\n    return (logits.argmax(1) == labels).double().mean()\n"
                    "def wrong(logits, labels):\n    return 'high'\n"}  # fmt: skip
    assert metric_of("m.py:share", code)(LOGITS, LABELS) == {"m.py:share": pytest.approx(4 / 6)}
    with pytest.raises(ModelError, match=r"^m.py:wrong: must return a number, but returned a str$"):
        metric_of("m.py:wrong", code)(LOGITS, LABELS)
