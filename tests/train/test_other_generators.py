"""A network that draws from `random` and from NumPy's generator trains as its seed says, as with PyTorch's."""

import random

import numpy as np
import torch

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.loop import train_epochs
from hw2tune.train.state import checkpoint, new_state, restore
from tests.train.conftest import CPU, make_data
from tests.train.test_own_network import blueprint

NET = """
import random
import numpy as np
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes)

    def forward(self, x):
        x = x.flatten(1)
        if self.training and random.random() < 0.5:  # stochastic depth
            x = 0.5 * x
        x = x + float(np.random.normal(0, 0.5))  # in evaluation mode, too
        return self.head(x)
"""
HP = Hyperparameters(learning_rate=0.01, batch_size=33, optimizer="sgd")


def losses(epochs: int, saved: memoryview | None = None, seed: int = 1):
    state = new_state(blueprint(NET), HP, seed=seed, device=CPU)
    if saved is not None:
        restore(state, saved)
    records = list(train_epochs(state, HP, make_data("cifar10"), loss="cross_entropy", max_epochs=epochs))
    return state, [(record["train_loss"], record["validation_loss"]) for record in records]


def test_the_same_seed_is_the_same_training_whatever_the_process_drew_before():
    first = losses(3)[1]
    random.random(), np.random.rand(3)
    assert losses(3)[1] == first
    assert losses(3, seed=2)[1] != first


def test_it_goes_on_from_a_checkpoint_bit_for_bit():
    whole, every = losses(4)
    saved = checkpoint(losses(2)[0])
    random.seed(77), np.random.seed(77)
    resumed, later = losses(4, saved)
    assert later == every[2:]
    assert torch.equal(whole.model.head.weight, resumed.model.head.weight)


def test_the_epochs_of_neighbouring_seeds_draw_apart():
    """Epoch 2 of seed 1 does not have the numbers of epoch 1 of seed 2, and no two epochs have the same."""
    text = NET.replace("return self.head(x)", "drawn.append(float(np.random.rand()))\n        return self.head(x)")
    text = text.replace("class Net", "drawn = []\n\nclass Net").replace(
        "if self.training and random.random() < 0.5:", "if 0:"
    )
    found = []
    for seed in (1, 2, 3):
        state = new_state(blueprint(text), HP, seed=seed, device=CPU)
        drawn = __import__("net").drawn
        for _ in train_epochs(state, HP, make_data("cifar10"), loss="cross_entropy", max_epochs=4):
            found.append(drawn[0])  # by the first batch of an epoch
            drawn.clear()
    assert len(set(found)) == 12


def test_what_the_process_draws_itself_is_left_alone():
    random.seed(5), np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5), np.random.seed(5)
    losses(1)
    assert (random.random(), np.random.rand()) == expected
