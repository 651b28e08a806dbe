"""A network of the user's: batch norm, PyTorch's dropout, modules used twice, buffers of several types."""

import pytest
import torch

from hw2tune.errors import ModelError
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.evaluate import network
from hw2tune.train.loop import train_epochs
from hw2tune.train.models import build_model
from hw2tune.train.probe import probe
from hw2tune.train.state import checkpoint, new_state, restore, weights_of
from hw2tune.train.task import Blueprint, Task, TrialData
from tests.train.conftest import CPU, make_data, random_split

NET = """
import torch
from torch import nn
from torch.nn import functional

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width=4, p=0.3):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.twice = nn.Conv2d(width, width, 3, padding=1)
        self.drop = nn.Dropout(p)
        self.head = nn.Linear(width, num_classes)
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("halves", torch.tensor([1.5], dtype=torch.bfloat16))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.steps += 1
        x = self.norm(self.conv(x))
        x = self.twice(torch.relu(self.twice(x)))
        return self.head(functional.dropout(self.drop(x.mean((2, 3))), 0.1, self.training)) * self.frozen
"""
HP = Hyperparameters(learning_rate=0.02, batch_size=33, optimizer="adamw", model={"width": 6})


def blueprint(text: str = NET, name: str = "net.py:Net", **hyperparameters) -> Blueprint:
    return Blueprint(
        model=name, code={"net.py": text}, input_shape=(3, 32, 32), classes=tuple("abcdefghij"),
        hyperparameters=hyperparameters,
    )  # fmt: skip


def train(epochs: int, saved: bytes | None = None):
    state = new_state(blueprint(width=6), HP, seed=1, device=CPU)
    if saved is not None:
        restore(state, saved)
    records = list(train_epochs(state, HP, make_data("cifar10"), loss="cross_entropy", max_epochs=epochs))
    return state, [record["train_loss"] for record in records]


def test_it_goes_on_from_a_checkpoint_bit_for_bit_whatever_the_process_drew_meanwhile():
    whole, losses = train(3)
    saved = checkpoint(train(1)[0])
    torch.manual_seed(77)
    torch.rand(5)
    expected = torch.get_rng_state()
    resumed, later = train(3, saved)
    assert torch.equal(torch.get_rng_state(), expected)  # and the process's own draws are left alone
    assert losses[1:] == later
    for (name, one), (_, other) in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
    assert whole.model.steps == 3 * 7  # 230 images in batches of 33: 6 of 33 and one of 32


def test_its_weights_on_disk_make_the_same_network_again():
    state, _ = train(1)
    again = network(blueprint(width=6), weights_of(state.model), 1, CPU)
    for (name, one), (_, other) in zip(state.model.state_dict().items(), again.state_dict().items(), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other), name


def test_a_last_image_alone_joins_the_batch_before():
    split = make_data("cifar10", train=67).train
    assert [len(labels) for _, labels in split.batches(33, torch.arange(67))] == [33, 34]
    assert split.count(33) == 2 and split.count(66) == 1 and split.count(64) == 2
    assert [len(labels) for _, labels in make_data("cifar10", train=1).train.batches(33, torch.arange(1))] == [1]


def test_a_network_of_another_package_takes_the_classes():
    resnet = Blueprint(model="torchvision.models:resnet18", input_shape=(3, 32, 32), classes=("a", "b", "c"))
    assert build_model(resnet, CPU).fc.out_features == 3


def request(text: str, images: str = "cifar10", batch_sizes=(16,), **hyperparameters) -> tuple:
    hp = Hyperparameters(learning_rate=0.01, batch_size=16, optimizer="sgd", model=hyperparameters)
    task = Task(
        model="net.py:Net", loss="cross_entropy", hyperparameters=hp, seed=0, max_epochs=1,
        objective="validation_accuracy", code={"net.py": text},
    )  # fmt: skip
    split = random_split(images, 40)
    from hw2tune.data.catalog import dataset_info

    data = TrialData(info=dataset_info(images), train=split, validation=split)
    return [task], batch_sizes, data


def test_the_parameters_of_a_sound_network_are_counted():
    assert probe(*request(NET, width=8)) == {"parameters": (27 + 1) * 8 + 16 + (72 + 1) * 8 + 90 + 1, "notes": []}


PLAIN = "import torch\nfrom torch import nn\ndef Net(num_classes):\n    return "


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (NET, {"widht": 3}, "model.widht: is no argument of net.py:Net(input_shape, num_classes, width, p)"),
        (NET.replace("width=4", "width"), {}, "net.py:Net(input_shape, num_classes, width, p) needs `width`: give "
         "model.width in [space] or [training], or give the argument a default"),
        (NET.replace("nn.Linear(width, num_classes)", "nn.Linear(width, 7)"), {},
         "net.py:Net: must return logits of shape (16, 10), a row of 10 classes for each of 16 images, but returned "
         "(16, 7)"),
        (NET.replace("nn.Linear(width, num_classes)", "nn.Linear(5, num_classes)"), {},
         "net.py, line 24: RuntimeError: addmm: mat1 and mat2 shapes cannot be multiplied (16x4 and 5x10)"),
        (NET.replace(" * self.frozen", " * float('nan')"), {},
         "net.py:Net: its logits hold a value that is no finite number, before any training"),
        ("import nowhere\nNet = 1\n", {}, "net.py, line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise RuntimeError('at import')\nNet = 1\n", {}, "net.py, line 1: RuntimeError: at import"),
        (PLAIN + "num_classes\n", {}, "net.py:Net: must return a torch.nn.Module, but returned a int"),
        (PLAIN + "nn.Flatten()\n", {}, "net.py:Net: must return logits of shape (16, 10), a row of 10 classes for each "
         "of 16 images, but returned (16, 3072)"),
        (NET.replace("width=4", "width=4 / 0"), {}, "net.py, line 7: ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_with_its_place(text, more, said):
    with pytest.raises(ModelError) as refused:
        probe(*request(text, **more))
    assert str(refused.value).startswith(said)
