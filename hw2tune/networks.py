"""The two published networks. Both return logits; softmax and loss are the study's convention (`loss.py`)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from hw2tune.train.models import Dropout

# ReLU stands behind the max-pool everywhere: max and ReLU commute, and ReLU on a quarter of the values is cheaper.


class MnistCnn(nn.Module):
    """The published MNIST network, 21,840 parameters: images (N, 1, 28, 28) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = Dropout(0.5, whole_channels=True)
        self.fc1 = nn.Linear(320, 50)
        self.fc1_drop = Dropout(0.5)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 1, 28, 28)."""
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))  # (N, 10, 12, 12)
        x = self.conv2_drop(self.conv2(x))  # (N, 20, 8, 8)
        x = functional.relu(functional.max_pool2d(x, 2))  # (N, 20, 4, 4)
        x = self.fc1_drop(functional.relu(self.fc1(x.flatten(1))))  # (N, 50)
        return self.fc2(x)  # type: ignore[no-any-return]  # nn.Module calls are Any


class Cifar10Cnn(nn.Module):
    """The published CIFAR-10 network, 91,270 parameters: images (N, 3, 32, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, kernel_size=5)
        self.conv2 = nn.Conv2d(12, 24, kernel_size=5)
        self.fc1 = nn.Linear(600, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))  # (N, 12, 14, 14)
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))  # (N, 24, 5, 5)
        x = functional.relu(self.fc1(x.flatten(1)))  # (N, 120)
        x = functional.relu(self.fc2(x))  # (N, 84)
        return self.fc3(x)  # type: ignore[no-any-return]  # nn.Module calls are Any
