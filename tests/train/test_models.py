"""The published networks, exactly."""

import pytest
import torch
from torch import nn

from hw2tune.networks import Cifar10Cnn, MnistCnn
from hw2tune.study.names import MODELS
from hw2tune.train.models import build_model
from hw2tune.train.task import Blueprint


def test_parameter_counts_are_those_computed_by_hand():
    by_hand = {
        "mnist_cnn": (1 * 25 + 1) * 10 + (10 * 25 + 1) * 20 + (320 + 1) * 50 + (50 + 1) * 10,
        "cifar10_cnn": (3 * 25 + 1) * 12 + (12 * 25 + 1) * 24 + (600 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10,
    }
    assert by_hand == {"mnist_cnn": 21_840, "cifar10_cnn": 91_270}
    for name, count in by_hand.items():
        assert sum(p.numel() for p in build_model(Blueprint(model=name), torch.device("cpu")).parameters()) == count


def as_published(ours: nn.Module) -> nn.Module:
    """The layers in the published order (ReLU before the pool for CIFAR-10), with the same weights."""
    if isinstance(ours, MnistCnn):
        return nn.Sequential(
            ours.conv1, nn.MaxPool2d(2), nn.ReLU(), ours.conv2, ours.conv2_drop, nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(), ours.fc1, nn.ReLU(), ours.fc1_drop, ours.fc2,
        )  # fmt: skip
    assert isinstance(ours, Cifar10Cnn)
    return nn.Sequential(
        ours.conv1, nn.ReLU(), nn.MaxPool2d(2), ours.conv2, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        ours.fc1, nn.ReLU(), ours.fc2, nn.ReLU(), ours.fc3,
    )  # fmt: skip


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_the_published_one_in_both_modes(name, training):
    height, width, channels = MODELS[name].input_shape
    ours = (
        build_model(Blueprint(model=name), torch.device("cpu"))
        .to(memory_format=torch.contiguous_format)
        .train(training)
    )
    published = as_published(ours).train(training)
    images = torch.rand(16, channels, height, width)
    torch.manual_seed(5)
    expected = published(images)
    torch.manual_seed(5)
    torch.testing.assert_close(ours(images), expected)


def test_the_table_of_models_tells_their_sizes():
    for name, spec in MODELS.items():
        built = build_model(Blueprint(model=name), torch.device("cpu"))
        assert sum(p.numel() for p in built.parameters()) == spec.parameters
