from __future__ import annotations

from pathlib import Path

import pytest

from hw2tune.data.dataset import Dataset
from tests.export.trained_study import write_trained_study

NET = """
import torch
from torch import nn
from layers import Block

class Wide(nn.Module):
    def __init__(self, input_shape, classes, width=6):
        super().__init__()
        self.block = Block(input_shape[0], width)
        self.register_buffer("halves", torch.tensor([0.5], dtype=torch.bfloat16))
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(16 * width, len(classes))

    def forward(self, x):
        x = nn.functional.avg_pool2d(self.block(x), 8).flatten(1)
        return self.head(self.drop(x + self.halves.float()))
"""
LAYERS = """
from torch import nn

class Block(nn.Sequential):
    def __init__(self, channels, width):
        super().__init__(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
"""


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """A results folder with the study `small`: the MNIST network, trained on 4,000 real images."""
    results = tmp_path_factory.mktemp("digits")
    return results, write_trained_study(results)[1]


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """The same of the CIFAR-10 network on images of its shape; trials alone, no replicates."""
    results = tmp_path_factory.mktemp("colours")
    return results, write_trained_study(results, dataset="synthetic-cifar10", model="cifar10_cnn", epochs=2, seeds=())[
        1
    ]


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """The same of a network of the user's own, in two files, with batch norm and a bfloat16 buffer."""
    results = tmp_path_factory.mktemp("own")
    (results / "net.py").write_text(NET)
    (results / "layers.py").write_text(LAYERS)
    written = write_trained_study(
        results / "results",
        dataset="synthetic-cifar10",
        model="net.py:Wide",
        epochs=4,
        rate=0.02,
        seeds=(4,),
        beside=results,
    )
    for name in ("net.py", "layers.py"):
        (results / name).unlink()  # what is needed lies in the study's folder
    return results / "results", written[1]
