"""Losses of fixed seeds: they may change only with the training version, under which finished trainings are kept.

After an intended change, raise `TRAINING_VERSION` and record them anew: `python -m tests.train.test_golden_curves`.
"""

import json
from pathlib import Path

import pytest
import torch

from hw2tune.replication.train import TRAINING_VERSION
from hw2tune.study.hyperparameters import OPTIMIZERS, Hyperparameters
from hw2tune.train.loop import train_epochs
from hw2tune.train.state import new_state
from hw2tune.train.task import Blueprint
from tests.train.conftest import CPU, make_data

RECORDED = Path(__file__).with_name("golden_curves.json")
OPTIONS = {
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "betas": {"optimizer": "adamw", "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.01},
    "cosine": {"schedule": "cosine", "warmup": 0.25},
    "one cycle": {"schedule": "one_cycle", "warmup": 0.5},
    "smooth": {"label_smoothing": 0.125, "gradient_clip": 0.5},
    "augmented": {"augment": "flip+crop+cutout"},
}
# An optimizer's name alone takes all of its default values.
CURVES = {name: ("mnist", {"optimizer": name}) for name in OPTIMIZERS}
# At 0.01 these two enlarge the rounding of a processor, or of a number of threads: rmsprop up to a tenth of a loss.
CURVES |= {name: ("mnist", {"optimizer": name, "learning_rate": 1e-3}) for name in ("rmsprop", "muon")}
CURVES |= {name: ("cifar10", {"optimizer": "sgd", **options}) for name, options in OPTIONS.items()}


def curve(name):
    """Losses of training and validation of two epochs, and how far the weights went: it shows what losses hide."""
    dataset, options = CURVES[name]
    hyperparameters = Hyperparameters(**{"learning_rate": 0.01, "batch_size": 8, **options})
    state = new_state(Blueprint(model=f"{dataset}_cnn"), hyperparameters, seed=7, device=CPU)
    start = [weights.detach().clone() for weights in state.model.parameters()]
    loss = "double_softmax" if dataset == "mnist" else "cross_entropy"
    epochs = list(train_epochs(state, hyperparameters, make_data(dataset, 64, 32), loss=loss, max_epochs=2))
    way = sum((now - then).square().sum().item() for now, then in zip(state.model.parameters(), start, strict=True))
    return [*(value for one in epochs for value in (one["train_loss"], one["validation_loss"])), way**0.5]


def test_the_recorded_curves_are_those_of_this_training_version():
    assert json.loads(RECORDED.read_text())["training_version"] == TRAINING_VERSION


@pytest.mark.parametrize("name", CURVES)
def test_a_training_gives_the_recorded_losses_or_has_another_version(name):
    assert curve(name) == pytest.approx(json.loads(RECORDED.read_text())["curves"][name], rel=1e-4), (
        "raise TRAINING_VERSION: kept trainings have other losses"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    content = {"training_version": TRAINING_VERSION, "curves": {name: curve(name) for name in CURVES}}
    RECORDED.write_text(json.dumps(content, indent=1) + "\n")
