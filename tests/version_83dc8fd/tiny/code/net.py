"""A network of 50 weights: the pictures' four quarters."""

from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, act="relu"):
        super().__init__()
        self.head = nn.Linear(4 * input_shape[0], num_classes)

    def forward(self, x):
        return self.head(nn.functional.avg_pool2d(x, 4).flatten(1))
