"""A study of the user's own, from a folder that holds nothing of hw2tune: network, images, hyperparameters, claims."""

import json

import numpy as np
import pytest
from PIL import Image

from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from tests.end_to_end.command import Command
from tests.end_to_end.test_study import assert_nothing_of_rays

pytestmark = pytest.mark.ray

NET = """
from torch import nn
from parts import block

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width=4, dropout=0.1):
        super().__init__()
        self.body, self.drop = block(input_shape[0], width), nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.drop(self.body(x).mean((2, 3))))
"""
PARTS = """
from torch import nn

def block(before, after):
    return nn.Sequential(nn.Conv2d(before, after, 3), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))
"""
STUDY = """
name = "own"
dataset = "./pictures"
test_share = 0.25
validation_size = 0.25
model = "net.py:Net"
objective = "metrics.py:recall_of_the_first"
max_epochs = 2
trials = 4
pruner = "none"
[training]
schedule = "one_cycle"
augment = "flip"
[space]
learning_rate = { low = 1e-3, high = 1e-1, log = true }
batch_size = 8
optimizer = ["adamw", "rmsprop"]
model.width = { low = 4, high = 8, step = 4, integer = true }
[references.plain]
learning_rate = 0.01
batch_size = 8
optimizer = "adamw"
model.width = 4
[[claims]]
sentence = "tuning"
a = "tuned"
b = "plain"
[[claims]]
a = "tuned"
b = { with = { "model.dropout" = 0.5 } }
"""
METRICS = """
def recall_of_the_first(logits, labels):
    first = labels == 0
    return (logits.argmax(1)[first] == 0).double().mean()
"""


@pytest.fixture
def place(tmp_path):
    random = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for n in range(24):
            pixels = random.integers(100 * label, 150 + 100 * label, (12, 12, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{n}.png")
    for name, text in (("net.py", NET), ("parts.py", PARTS), ("own.toml", STUDY), ("metrics.py", METRICS)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.matrix
def test_it_is_searched_replicated_and_reported(place):
    code, out, err = Command("study", "own.toml", "--summarize", "--replicates", 2, cwd=place).finish()
    assert code == 0, err
    assert_nothing_of_rays(out, err)
    folder = StudyFolder(place / "ray_results" / "own")
    assert sorted(path.name for path in folder.code.iterdir()) == ["metrics.py", "net.py", "parts.py"]
    replicates = read_replicates(ReplicatesFolder.of(folder))
    assert {(one.variant, one.seed) for one in replicates} == {
        (variant, seed) for variant in ("plain", "tuned", "tuned-dropout-0.5") for seed in (1, 2)
    }
    assert all(one.state == "complete" and one.params["schedule"] == "one_cycle" for one in replicates)
    summary = json.loads((folder.root / "report" / "summary.json").read_text())["studies"][0]
    assert [claim["against"] for claim in summary["claims"]] == ["plain", "tuned-dropout-0.5"]
    assert len([line for line in out.splitlines() if line.startswith("- ")]) == 2
    page = (folder.root / "report" / "index.html").read_text()
    assert "chosen and tested by recall of the first" in page and "dark" in page
    assert all(one.chosen.metric == "metrics.py:recall_of_the_first" for one in replicates)


@pytest.mark.matrix
def test_it_goes_on_from_what_its_folder_keeps_where_its_files_are_gone(place):
    code, _, err = Command("study", "own.toml", "--trials", 2, "--max-epochs", 1, cwd=place).finish()
    assert code == 0, err
    for name in ("net.py", "parts.py", "metrics.py", "own.toml"):
        (place / name).unlink()
    code, _, err = Command("study", "own", "--trials", 3, "--max-epochs", 1, cwd=place).finish()
    assert code == 0, err


def test_a_network_that_cannot_be_trained_reaches_no_worker(place):
    (place / "net.py").write_text(NET.replace("nn.Linear(width, num_classes)", "nn.Linear(width, 3)"))
    for command in ("check", "study"):
        code, out, err = Command(command, "own.toml", cwd=place).finish()
        assert (code, out) == (1, "")
        assert err == (
            "hw2tune: model: net.py:Net: must return logits of shape (8, 2), a row of 2 classes for each of 8 images, "
            "but returned (8, 3)\n"
        )
    assert not (place / "ray_results").exists()
