"""The networks, batches and folder of the pass before a study."""

import pytest

from hw2tune.errors import ModelError
from hw2tune.events import Listeners
from hw2tune.execution.preflight import ModelFacts, batch_sizes, checkpoint_notes, configurations, model_facts
from hw2tune.execution.request import load_for
from hw2tune.study.file import parse_study

STUDY = """
name = "tiny"
dataset = "digits"
model = "net.py:Net"
max_epochs = 1
trials = 2
training = { optimizer = "adam" }
[space]
learning_rate = 0.01
batch_size = [64, 1, 256, 32]
model.width = [16, 64, 8]
[references.plain]
learning_rate = 0.01
batch_size = 64
model.width = 16
"""
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width):
        super().__init__()
        self.head = nn.Linear(64, num_classes)
        self.load_state_dict(torch.load("start.pt"))

    def forward(self, x):
        return self.head(x.flatten(1))
"""


WRITES = "touch trace"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "start.pt").write_bytes(b"")
    return parse_study(STUDY, str(tmp_path / "tiny.toml"))


def test_the_smallest_and_the_largest_are_meant_in_whatever_order_choices_stand(study):
    assert batch_sizes(study) == [1, 256]
    assert sorted(one.model["width"] for one in configurations(study)) == [8, 16, 64]


def test_a_network_finds_no_file_beside_it_in_the_folder_where_it_is_tried(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as refused:
        model_facts(study, load_for(study, None, Listeners()))
    assert str(refused.value) == (
        "model: net.py, line 9: FileNotFoundError: [Errno 2] No such file or directory: 'start.pt' with width = 16; "
        "only Python modules travel with a study: give the file's absolute path, or read it in data.py:load"
    )


def test_installed_code_that_is_not_known_to_be_a_network_is_not_called_by_the_pass(tmp_path):
    text = STUDY.replace("net.py:Net", "subprocess:getoutput").replace("model.width = 16", f'model.cmd = "{WRITES}"')
    text = text.replace("model.width = [16, 64, 8]", f'model.cmd = "{WRITES}"').replace("touch ", f"touch {tmp_path}/")
    study = parse_study(text, str(tmp_path / "tiny.toml"))
    with pytest.raises(ModelError) as refused:
        model_facts(study, load_for(study, None, Listeners()))
    assert str(refused.value) == (
        "model: subprocess:getoutput is not known to be a network, so it is not called; --trust subprocess allows it"
    )
    assert not (tmp_path / "trace").exists()


DATA = """
import numpy as np

def load():
    images, labels = np.random.default_rng(0).random((400, {side}, {side}, 1), np.float32), np.arange(400) % {classes}
    classes = [str(label) for label in range({classes})]
    return {{"train": (images[:300], labels[:300]), "test": (images[300:], labels[300:]), "classes": classes}}
"""


@pytest.mark.parametrize(("side", "classes"), [(28, 2), (20, 10)])
def test_a_shipped_network_refuses_images_of_another_size_or_other_classes(tmp_path, side, classes):
    (tmp_path / "data.py").write_text(DATA.format(side=side, classes=classes))
    text = STUDY.replace('"digits"', '"data.py:load"').replace("net.py:Net", "mnist_cnn")
    text = text.replace("model.width = [16, 64, 8]\n", "").replace("model.width = 16\n", "")
    study = parse_study(text, str(tmp_path / "tiny.toml"))
    with pytest.raises(ModelError) as refused:
        model_facts(study, load_for(study, None, Listeners()))
    assert str(refused.value) == (
        f"mnist_cnn: takes images of 28x28x1 in 10 classes, but data.py:load has {side}x{side}x1 in {classes} classes; "
        "use a network of your own (`hw2tune new`)"
    )


def test_a_network_too_large_to_be_saved_after_every_epoch_is_told_what_a_kill_can_cost():
    large = ModelFacts(parameters=11_000_000, epoch_seconds=4.0, source="")  # 176 MB, every 113 s
    assert list(checkpoint_notes(large)) == [
        "the network has 11,000,000 parameters: a trial is saved about every 1 min 56 s, and a kill costs what it has "
        "trained since"
    ]
    small = ModelFacts(parameters=91_270, epoch_seconds=45.0, source="")
    assert list(checkpoint_notes(small)) == []
