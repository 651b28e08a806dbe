"""The learning rate over the steps, against values computed by hand and PyTorch's own."""

import math

import pytest
import torch

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.optimizers import schedule_of


def factors(steps: int, **settings) -> list[float]:
    schedule = schedule_of(Hyperparameters(learning_rate=1.0, batch_size=1, optimizer="sgd", **settings), steps)
    assert schedule is not None
    return [schedule(step) for step in range(steps)]


def test_constant_without_warm_up_is_no_schedule():
    assert schedule_of(Hyperparameters(learning_rate=1.0, batch_size=1, optimizer="sgd"), 10) is None


def test_constant_rises_over_the_warm_up_and_stays():
    assert factors(10, warmup=0.4) == pytest.approx([0.25, 0.5, 0.75, *[1.0] * 7])


def test_cosine_falls_to_zero_along_half_a_wave():
    assert factors(5, schedule="cosine") == pytest.approx([(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)])
    warm = factors(10, schedule="cosine", warmup=0.5)
    assert warm[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert warm[5:] == sorted(warm[5:], reverse=True) and warm[-1] < 0.1


def test_one_cycle_is_pytorchs_up_to_the_step_where_it_turns():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=1001, pct_start=0.3, cycle_momentum=False)
    expected = []
    for _ in range(1000):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert factors(1000, schedule="one_cycle") == pytest.approx(expected, abs=5e-3)
