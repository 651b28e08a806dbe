"""Networks as users write them: trained where PyTorch alone trains them, else refused by the pass before a study."""

import pytest
import torch
from torch import nn

from hw2tune.errors import ModelError
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.device import DeviceSplit
from hw2tune.train.evaluate import network
from hw2tune.train.loop import evaluation_batch, train_epochs
from hw2tune.train.models import build_model
from hw2tune.train.probe import probe
from hw2tune.train.state import new_state, weights_of
from tests.train.conftest import CPU, make_data
from tests.train.test_own_network import NET, blueprint, request

HP = Hyperparameters(learning_rate=0.01, batch_size=32, optimizer="sgd")
FLAT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        channels, height, width = input_shape
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.head = nn.Linear(8 * (height // 2) * (width // 2), num_classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv(x).relu(), 2)
        return self.head(x.flatten(1))
"""
VIEW = FLAT.replace("x.flatten(1)", "x.view(x.size(0), -1)")
VIEW_IN_TRAINING = FLAT.replace("x.flatten(1)", "x.view(x.size(0), -1) if self.training else x.flatten(1)")
LAZY = FLAT.replace("nn.Linear(8 * (height // 2) * (width // 2), num_classes)", "nn.LazyLinear(num_classes)")
LAZY_AND_VIEW = VIEW.replace("nn.Conv2d(channels, 8", "nn.LazyConv2d(8")
MEAN = FLAT.replace("8 * (height // 2) * (width // 2)", "8").replace("x.flatten(1)", "x.mean((2, 3))")


def trained(text: str) -> nn.Module:
    state = new_state(blueprint(text), HP, seed=1, device=CPU)
    list(train_epochs(state, HP, make_data("cifar10"), loss="cross_entropy", max_epochs=2))
    return state.model


def trained_by_pytorch_alone(text: str) -> nn.Module:
    namespace: dict = {}
    exec(text, namespace)
    torch.manual_seed(1)
    net = namespace["Net"](input_shape=(3, 32, 32), num_classes=10)
    data, order = make_data("cifar10").train, torch.Generator().manual_seed(1 + 1_000_003)
    net(torch.zeros(1, 3, 32, 32))  # PyTorch: a lazy network is run once before its optimizer is made
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(2):
        for images, labels in data.batches(32, torch.randperm(len(data), generator=order)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images.contiguous()), labels).backward()
            optimizer.step()
    return net


@pytest.mark.parametrize("text", [FLAT, VIEW, VIEW_IN_TRAINING, LAZY, LAZY_AND_VIEW])
def test_a_network_that_pytorch_trains_is_trained_to_the_same_weights(text):
    ours = trained(text)
    for name, theirs in trained_by_pytorch_alone(text).named_parameters():
        torch.testing.assert_close(ours.get_parameter(name), theirs, msg=name)
    assert probe(*request(text))["notes"] == []
    assert probe(*request(text, "mnist"))["notes"] == []  # of one channel
    again = network(blueprint(text), weights_of(ours), 1, CPU)
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    assert torch.equal(again.eval()(images), ours.eval()(images))


@pytest.mark.parametrize("text", [FLAT, NET])
def test_a_network_that_takes_channels_last_keeps_it_and_is_as_its_constructor_left_it(text):
    namespace: dict = {}
    exec(text, namespace)
    torch.manual_seed(1)
    plain = namespace["Net"](input_shape=(3, 32, 32), num_classes=10)
    torch.manual_seed(1)
    ours = build_model(blueprint(text), CPU)
    assert ours.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not ours._forward_pre_hooks
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name]), name


def test_a_lazy_layer_that_no_pass_reaches_is_named():
    text = LAZY.replace("self.head =", "self.aux = nn.LazyLinear(3)\n        self.head =")
    with pytest.raises(ModelError) as refused:
        build_model(blueprint(text), CPU)
    assert str(refused.value) == (
        "net.py:Net: `aux.weight` has no size after a pass over images; use its lazy layer in forward"
    )


def test_a_compiled_network_is_trained_and_kept_as_the_network_itself():
    class Compiled(nn.Module):  # as torch.compile wraps a network, without the half minute that importing it takes
        def __init__(self, inner):
            super().__init__()
            self._orig_mod = inner

    namespace: dict = {"Compiled": Compiled}
    exec(MEAN, namespace)
    inner = namespace["Net"](input_shape=(3, 32, 32), num_classes=10)
    text = f"{MEAN}\nclass Compiled(nn.Module):\n    def __init__(self, inner):\n        super().__init__()\n"
    text += "        self._orig_mod = inner\n\ndef build(input_shape, num_classes):\n"
    text += "    return Compiled(Net(input_shape, num_classes))\n"
    built = build_model(blueprint(text, "net.py:build"), CPU)
    assert list(built.state_dict()) == list(inner.state_dict())
    kept_before = {f"_orig_mod.{name}": array for name, array in weights_of(inner).items()}
    again = network(blueprint(text, "net.py:build"), kept_before, 1, CPU)
    assert torch.equal(again.conv.weight, inner.conv.weight)


def test_a_file_beside_the_study_is_not_read_by_a_training(tmp_path, monkeypatch):
    torch.save({}, tmp_path / "start.pt")
    monkeypatch.chdir(tmp_path)
    text = MEAN.replace("super().__init__()", 'super().__init__()\n        open("start.pt")')
    with pytest.raises(FileNotFoundError):
        new_state(blueprint(text), HP, seed=1, device=CPU)


def test_evaluation_takes_500_images_at_once_and_of_large_ones_what_32_mb_hold():
    def batch(height: int, channels: int) -> int:
        images, one = torch.zeros(1).expand(1, height, height, channels), torch.ones(1)
        return evaluation_batch(DeviceSplit(images=images, labels=one, scale=one, shift=one))

    assert [batch(height, 3) for height in (8, 28, 32, 64)] == [500] * 4
    assert [batch(height, 3) for height in (96, 224, 512, 4096)] == [289, 53, 10, 2]


def refused(asked: tuple) -> str:
    with pytest.raises(ModelError) as error:
        probe(*asked)
    return str(error.value)


def returning(value: str, text: str = MEAN) -> str:
    return text.replace("return self.head(x.mean((2, 3)))", f"out = self.head(x.mean((2, 3)))\n        return {value}")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("out if self.training else (out, x)",
         "must return a tensor of logits in evaluation mode, but returned a tuple"),
        ("out if self.training else {'logits': out}",
         "must return a tensor of logits in evaluation mode, but returned a dict"),
        ("out if self.training else out[:, :5]",
         "must return logits of shape (500, 10), a row of 10 classes for each of 500 images in evaluation mode, but "
         "returned (500, 5)"),
        ("out if self.training else out.half()",
         "must return float32 logits in evaluation mode, but returned float16; end with .float()"),
        ("out.bfloat16()", "must return float32 logits, but returned bfloat16; end with .float()"),
        ("out if self.training else out / 0", "its logits hold a value that is no finite number in evaluation mode, "
         "before any training"),
        ("out.detach().requires_grad_()", "the loss depends on none of its parameters"),
    ],
)  # fmt: skip
def test_what_a_network_returns_is_looked_at_in_both_modes(value, said):
    assert refused(request(returning(value))) == f"net.py:Net: {said}"


def test_an_error_in_evaluation_mode_says_so():
    text = returning("out if self.training else out @ out")
    assert refused(request(text)) == (
        "net.py, line 15: RuntimeError: mm: mat1 and mat2 shapes cannot be multiplied (500x10 and 500x10) "
        "in evaluation mode"
    )


def test_the_smallest_batch_of_a_study_is_tried_as_well_as_the_largest():
    text = MEAN.replace("self.head =", "self.norm = nn.BatchNorm1d(8)\n        self.head =")
    text = text.replace("x.mean((2, 3))", "self.norm(x.mean((2, 3)))")
    assert probe(*request(text, batch_sizes=(16, 2)))["notes"] == []
    assert refused(request(text, batch_sizes=(16, 1))) == (
        "net.py, line 15: ValueError: Expected more than 1 value per channel when training, got input size "
        "torch.Size([1, 8]) on a batch of 1"
    )


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (returning("out.softmax(1)"),
         ["rows of its outputs sum to 1, and cross_entropy takes logits: leave the softmax out, or set "
          'loss = "double_softmax" if a second softmax is meant']),
        (returning("out.log_softmax(1)"), []),
        (returning("out.sigmoid()"), []),
        (returning("out.squeeze()"),
         ["one image alone does not pass (must return logits of shape (1, 10), a row of 10 classes for each of 1 "
          "images, but returned (10,)); is there a squeeze() without its axis? hw2tune works without it, but an "
          "exported file will refuse one image"]),
        (MEAN.replace("x.mean((2, 3))", "x.mean((2, 3)).squeeze()[:, :8]"),
         ["one image alone does not pass (too many indices for tensor of dimension 1); is there a squeeze() without "
          "its axis? hw2tune works without it, but an exported file will refuse one image"]),
        (MEAN.replace("self.head =", "self.aux = nn.Linear(8, 3)\n        self.head ="),
         ["the loss does not depend on `aux.weight` and 1 more, so training leaves it as it is"]),
    ],
)  # fmt: skip
def test_what_trains_and_is_hardly_meant_gets_a_note(text, notes):
    assert probe(*request(text))["notes"] == [f"net.py:Net: {note}" for note in notes]


def test_state_that_is_no_tensor_is_refused_before_hours_of_training_are_kept_without_it():
    text = MEAN + "\n    def get_extra_state(self):\n        return {'seen': 3}\n"
    assert refused(request(text)) == (
        "net.py:Net: `_extra_state` in its state_dict is a dict, and weights are kept as tensors; use register_buffer"
    )


@pytest.mark.parametrize("path", ['"start.pt"', '__import__("pathlib").Path(__file__).with_name("start.pt")'])
def test_a_file_beside_the_network_is_said_not_to_travel(path):
    text = MEAN.replace("super().__init__()", f"super().__init__()\n        torch.load({path})")
    assert refused(request(text)) == (
        "net.py, line 8: FileNotFoundError: [Errno 2] No such file or directory: 'start.pt'; only Python modules "
        "travel with a study: give the file's absolute path, or read it in data.py:load"
    )
