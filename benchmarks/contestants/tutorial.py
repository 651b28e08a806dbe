"""The training pattern of PyTorch's CIFAR-10 tutorial and of Ray Tune's example that follows it.

A data set of PIL images with transforms for each image, a DataLoader that shuffles, the plain module with ReLU before
the pool, a plain optimizer, `loss.item()` in every step. The tutorials give the loader 2 (PyTorch) and 8 (Ray) worker
processes; a trial here has one core, where none is faster, so `num_workers=0`.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hw2tune.train.metrics import LOSSES


class Images(Dataset):
    """Images as torchvision's MNIST and CIFAR10 give them: through PIL, transformed one by one."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, mean: list[float], std: list[float]) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        return self.transform(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)), int(
            self.labels[index]
        )


class MnistNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(x)))
        x = self.pool(functional.relu(self.drop(self.conv2(x))))
        x = functional.relu(self.fc1(x.view(-1, 320)))
        return self.fc2(functional.dropout(x, training=self.training))


class CifarNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 5)
        self.conv2 = nn.Conv2d(12, 24, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(600, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(x)))
        x = self.pool(functional.relu(self.conv2(x)))
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(functional.relu(self.fc2(x)))


NETS = {"mnist_cnn": MnistNet, "cifar10_cnn": CifarNet}


def plain_optimizer(model: nn.Module, hp: Mapping[str, Any]) -> torch.optim.Optimizer:
    """As the tutorials make it, with defaults."""
    shared = {"lr": hp["learning_rate"], "weight_decay": hp.get("weight_decay", 0.0)}
    match hp["optimizer"]:
        case "sgd":
            return torch.optim.SGD(model.parameters(), momentum=hp.get("momentum") or 0.0, **shared)
        case "adam":
            return torch.optim.Adam(model.parameters(), **shared)
    return torch.optim.AdamW(model.parameters(), **shared)


def train_epoch(model: nn.Module, loader: DataLoader, criterion: Any, optimizer: Any, device: torch.device) -> float:
    """One pass over the loader; the mean loss."""
    model.train()
    running = 0.0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(loader)


def accuracy(model: nn.Module, loader: DataLoader, device: torch.device) -> float:
    """The fraction that is right, in evaluation mode."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            _, predicted = torch.max(model(inputs), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return correct / total


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all contestants of a study benchmark train. `images` is an .npz, `records` and `scratch` are folders."""

    study: str  # path of the study file
    configurations: list[dict[str, Any]]
    model: str
    loss: str
    epochs: int
    mean: list[float]
    std: list[float]
    images: str
    records: str
    scratch: str
    slots: int
    gpus_per_trial: float = 0.0


def read_job(path: str) -> Job:
    return Job(**json.loads(Path(path).read_text(encoding="utf-8")))


def train(hp: Mapping[str, Any], job: Job) -> Iterator[tuple[float, nn.Module, torch.optim.Optimizer]]:
    """Trains one configuration, writes a line for each epoch, yields its validation accuracy and what is trained."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = NETS[job.model]().to(device)
    optimizer = plain_optimizer(model, hp)
    with np.load(job.images) as arrays:
        train_set, validation_set = (
            Images(arrays[f"{name}_images"], arrays[f"{name}_labels"], job.mean, job.std)
            for name in ("train", "validation")
        )
    batch_size = int(hp["batch_size"])
    loader = DataLoader(train_set, batch_size=batch_size, shuffle=True, num_workers=0)
    validation = DataLoader(validation_set, batch_size=batch_size, shuffle=False, num_workers=0)
    trial = uuid.uuid4().hex
    for epoch in range(1, job.epochs + 1):
        started = time.time()
        train_epoch(model, loader, LOSSES[job.loss], optimizer, device)
        value = accuracy(model, validation, device)
        write_record(job, trial=trial, epoch=epoch, time_start=started, time_end=time.time(), accuracy=value)
        yield value, model, optimizer


def write_record(job: Job, **record: Any) -> None:
    """Adds one epoch's line; each trial has a file of its own."""
    with (Path(job.records) / f"{record['trial']}.jsonl").open("a") as file:
        file.write(json.dumps(record | {"pid": os.getpid()}) + "\n")
