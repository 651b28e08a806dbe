"""A study in virtual order on a real Ray: run twice, once killed in between, it leaves the same records."""

import signal

import pytest

from benchmarks.twice import records
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from tests.end_to_end.command import Command

pytestmark = pytest.mark.ray

STUDY = """
name = "twice"
dataset = "synthetic-mnist"
model = "mnist_cnn"
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


def test_a_study_in_virtual_order_is_the_same_twice_though_it_is_killed(tmp_path):
    (tmp_path / "twice.toml").write_text(STUDY)
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
    assert records(folder) == records(StudyFolder(tmp_path / "first/twice"))
