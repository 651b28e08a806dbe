"""The speed of training by the clock: of a step, of an image in it, of one in evaluation."""

from types import SimpleNamespace

import pytest

from hw2tune.study.speed import Speed
from hw2tune.train import speed
from hw2tune.train.task import Task
from tests.train import clock
from tests.train.conftest import CPU, make_data
from tests.train.test_own_network import HP

SLOW = """
import torch
from torch import nn
from tests.train import clock

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        first = 100.0 if self.passes <= 5 else 0.0  # what a process does once
        clock.now += first + (0.5 + 0.01 * len(x) if self.training else 0.002 * len(x))
        return self.head(x.mean((2, 3)))
"""


def measured(monkeypatch, sizes, seconds=0.0, text=SLOW):
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=clock.read))
    task = Task(
        model="net.py:Net", loss="cross_entropy", hyperparameters=HP, seed=0, max_epochs=1,
        objective="validation_accuracy", code={"net.py": text},
    )  # fmt: skip
    return speed.measure_speed(task, make_data("cifar10", train=256), sizes, CPU, seconds)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_step_an_image_and_one_in_evaluation_are_told_apart_after_an_epoch_that_warms_up(monkeypatch, seconds):
    found = measured(monkeypatch, (64, 256), seconds)
    assert (found.step_seconds, found.image_seconds, found.evaluation_seconds) == pytest.approx((0.5, 0.01, 0.002))


def test_with_one_batch_size_all_is_of_the_images(monkeypatch):
    found = measured(monkeypatch, (64, 64))
    assert (found.step_seconds, found.image_seconds) == pytest.approx((0.0, (4 * 0.5 + 2.56) / 256))


def test_noise_makes_no_part_negative(monkeypatch):
    dear = SLOW.replace("0.5 + 0.01 * len(x)", "0.5 * (len(x) == 256)")  # one large step is dearer than four small ones
    found = measured(monkeypatch, (64, 256), text=dear)
    assert (found.step_seconds, found.image_seconds) == pytest.approx((0.0, 0.5 / 256))
    steep = SLOW.replace("0.5 + 0.01 * len(x)", "0.5 - 0.001 * len(x)")
    found = measured(monkeypatch, (64, 256), text=steep)
    assert (found.step_seconds, found.image_seconds) == pytest.approx((0.244, 0.0))


def test_an_epoch_costs_its_steps_its_images_and_its_evaluation():
    one = Speed(step_seconds=0.5, image_seconds=0.01, evaluation_seconds=0.002)
    steps = (4 + 1 + 7) / 3  # of 100 images in batches of 30, 100 and 15
    assert one.epoch_seconds(100, 50, [30, 100, 15]) == pytest.approx(0.5 * steps + 1.0 + 0.1)
    assert one.images_per_second(50) == 50.0
