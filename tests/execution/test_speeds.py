"""Networks tried in processes beside one another, and the speeds of this machine that are kept."""

import json

import numpy as np
import pytest

from hw2tune.errors import ModelError
from hw2tune.events import Listeners
from hw2tune.execution import speeds
from hw2tune.execution.preflight import drawn_batch_sizes, model_facts
from hw2tune.execution.request import load_for
from hw2tune.execution.speeds import MachineSpeed, kept_speeds, probed
from hw2tune.resources import Capacity
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.speed import Speed
from hw2tune.train.task import ProbeRequest, Task, TrialData

TWO = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="")
GPU = Capacity(cpus_per_trial=1, gpus_per_trial=0.5, concurrency=2, gpu_slots=2, text="")
NET = """
import os
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(64, num_classes)
        {more}

    def forward(self, x):
        return self.head(x.flatten(1))
"""
OWN = """
name = "tiny"
dataset = "digits"
model = "net.py:Net"
max_epochs = 1
trials = 2
training = { optimizer = "adam" }
[space]
learning_rate = 0.01
batch_size = [32, 64, 128, 256]
"""


def request(more: str = "") -> ProbeRequest:
    from hw2tune.data.load import load_dataset

    data = load_dataset("digits")
    task = Task(
        model="net.py:Net", loss="cross_entropy", seed=0, max_epochs=1, objective="validation_accuracy",
        hyperparameters=Hyperparameters(learning_rate=0.01, batch_size=16, optimizer="sgd"),
        code={"net.py": NET.format(more=more)},
    )  # fmt: skip
    some = TrialData(info=data.info, train=data.train.take(np.arange(64)), validation=data.train.take(np.arange(0)))
    return ProbeRequest(tasks=[task], batch_sizes=(16, 32), data=some)


def test_each_slot_measures_and_none_begins_before_all_have_tried_the_network(tmp_path):
    # A process makes the network three times to try it, and once to measure it: by then each has made it three times.
    trace = (
        f"import pathlib; place = pathlib.Path({str(tmp_path)!r}); mine = place / str(os.getpid()); "
        "mine.open('a').write('x'); tried = [len(one.read_text()) >= 3 for one in place.glob('[0-9]*')]; "
        "(place / 'seen').open('a').write(f'{sum(tried)}\\n') if len(mine.read_text()) > 3 else None"
    )
    found = probed(request(trace), TWO)
    assert (found.parameters, found.notes) == (650, ())
    assert (tmp_path / "seen").read_text() == "2\n2\n"
    assert found.speed.epoch_seconds(64, 64, [8]) > 0 and 0 < found.share <= 1  # noise may leave either part of it at 0


def test_a_process_that_dies_or_refuses_ends_the_others_and_is_named(tmp_path):
    with pytest.raises(ModelError) as died:
        probed(request("os._exit(7)"), TWO)
    assert str(died.value) == "model: the process that tried it ended with code 7: it said nothing"
    with pytest.raises(ModelError) as refused:
        probed(request("1 / 0"), TWO)
    assert str(refused.value) == "model: net.py, line 9: ZeroDivisionError: division by zero"


def test_a_network_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(speeds, "AT_MOST", 0.1)
    with pytest.raises(ModelError) as late:
        probed(request("import time; time.sleep(600)"))
    assert str(late.value) == "model: one pass over 64 images took more than 0.1 s"


@pytest.fixture
def kept(monkeypatch, tmp_path) -> list[MachineSpeed]:
    """A measurement of a machine on which an epoch of `quickstart` is easily reckoned."""
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    speed = Speed(step_seconds=0.0, image_seconds=0.002, evaluation_seconds=0.001)
    monkeypatch.setattr(speeds, "probed", lambda asked, at: speeds.Probed(
        parameters=1, notes=(), speed=speed, share=0.25))  # fmt: skip
    return speeds.measure_machine()


def facts(at: Capacity, name: str = "quickstart"):
    study = parse_study(*find_study(name))
    return model_facts(study, load_for(study, None, Listeners()), at=at)


def test_check_estimates_by_what_was_measured_on_this_machine_and_says_so(kept):
    found = facts(TWO)
    assert found.epoch_seconds == pytest.approx(4_000 * 0.002 + 500 * 0.001)  # of 4,500 images, 500 validate
    (date,) = {one.date for one in kept}
    cores = kept[0].slots
    assert found.source == (
        f"measured on this machine on {date}, {cores} at once, while other programs took 75% of its processors"
    )
    assert facts(GPU).source == "as on an idle Xeon; `hw2tune doctor --machine` measures this machine"  # none was there


@pytest.mark.parametrize("changed", ["torch", "processor", "cores"])
def test_what_was_measured_counts_no_more_once_torch_processor_or_cores_are_others(kept, monkeypatch, changed):
    assert kept_speeds() == kept
    name = {"torch": "installed_version", "processor": "processor", "cores": "granted_cpus"}[changed]
    monkeypatch.setattr(speeds, name, lambda *_: 3.0)
    assert kept_speeds() == []
    assert facts(TWO).source == "as on an idle Xeon; `hw2tune doctor --machine` measures this machine"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[1]", '[{"model": "mnist_cnn"}]', "null"])
def test_a_file_that_cannot_be_read_is_no_measurement(kept, tmp_path, content):
    (file,) = (tmp_path / "cache" / "machines").iterdir()
    assert len(json.loads(file.read_text())) == len(kept)
    file.write_text(content)
    assert kept_speeds() == []


def test_an_own_network_is_measured_by_check(tmp_path):
    (tmp_path / "net.py").write_text(NET.format(more=""))
    study = parse_study(OWN, str(tmp_path / "tiny.toml"))
    found = model_facts(study, load_for(study, None, Listeners()), at=TWO)
    assert found.parameters == 650 and found.epoch_seconds > 0 and found.source.startswith("measured now")


def test_the_batch_sizes_of_an_estimate_are_those_of_references_and_evenly_of_the_space():
    sizes = drawn_batch_sizes(parse_study(*find_study("quickstart")))
    assert sizes == [100, 100] + [32] * 4 + [64] * 4 + [100] * 4 + [128] * 4 + [256] * 4
