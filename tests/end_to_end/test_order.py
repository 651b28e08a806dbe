"""A study in virtual order on a real Ray: run twice, once killed in between, it leaves the same records."""

import signal

import numpy as np
import pytest

from benchmarks.checkpoints import without_digests
from benchmarks.twice import records
from hw2tune.records.arrays import read_npz
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from tests.end_to_end.command import Command

pytestmark = pytest.mark.ray

STUDY = """
name = "twice"
dataset = "synthetic-mnist"
model = "net.py:Net"
max_epochs = 4
trials = 8
train_size = 400
validation_size = 200
order = "virtual"
[pruner]
reduction_factor = 2
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = [8, 64]
optimizer = ["sgd", "adamw"]
"""


# 1.3 MB of weights, which travel by reference; a checkpoint is taken after each epoch of sgd, and of adamw none.
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        hidden = nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU()
        super().__init__(nn.Flatten(), *hidden, nn.Linear(300, 10))
"""


def test_a_study_in_virtual_order_is_the_same_twice_though_it_is_killed(tmp_path):
    (tmp_path / "twice.toml").write_text(STUDY)
    (tmp_path / "net.py").write_text(NET)
    command = ("study", "twice.toml", "--concurrency", "2", "--quiet")
    first = Command(*command, "--results-dir", "first", cwd=tmp_path)
    assert first.finish()[0] == 0
    second, folder = Command(*command, "--results-dir", "second", cwd=tmp_path), StudyFolder(tmp_path / "second/twice")
    second.wait_until(lambda: folder.journal.exists() and len(read_overview(folder).finished) >= 2)
    second.signal_group(signal.SIGKILL)
    second.finish()
    again = Command(*command, "--results-dir", "second", cwd=tmp_path)
    assert again.finish()[0] == 0
    overview = read_overview(folder)
    assert overview.study.slots == 2 and len(overview.finished) == 8
    alone = StudyFolder(tmp_path / "first/twice")
    assert without_digests(records(folder)) == without_digests(records(alone))
    for number in range(8):
        weights, again = np.load(alone.trial(number).weights), read_npz(folder.trial(number).weights)
        assert weights["1.weight"].nbytes > 900_000
        if again is None:  # killed at its very end, so that a checkpoint has them
            assert any(path.exists() for path in folder.trial(number).checkpoints)
        else:
            assert all(np.array_equal(again[name], weights[name]) for name in weights.files)
