"""How often a training is saved: the rule, and what a process learns of its cost. Without PyTorch."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw2tune.train.cadence import MOST, SMALL, Cadence, interval, seconds_at_risk

MB = 1_000_000


def simulated(cadence: Cadence, *, size: int, epoch: float, cost: float, epochs: int, gap: float = 0.02) -> list[int]:
    """The epochs after which a training is saved, whose checkpoints cost so many seconds."""
    saved, since = [], 0.0
    for number in range(1, epochs + 1):
        since += epoch
        if cadence.is_due(size, epoch_seconds=epoch, since=since):
            saved.append(number)
            cadence.paid(size, cost + gap)
            since = 0.0
        else:
            cadence.paid(0, gap)
    return saved


def test_the_interval_is_youngs_and_saving_never_takes_more_than_its_share():
    assert interval(0.5) == pytest.approx(60.0)  # sqrt(2 x 0.5 s x 3600 s)
    assert interval(30.0) == pytest.approx(600.0)  # 5 % of the time; Young's would be 465 s


def test_a_small_network_is_saved_after_every_epoch_however_short():
    assert simulated(Cadence(), size=SMALL, epoch=0.05, cost=0.01, epochs=5) == [1, 2, 3, 4, 5]


def test_a_large_network_is_saved_after_every_epoch_that_takes_a_hundred_times_as_long():
    assert simulated(Cadence(), size=136 * MB, epoch=150.0, cost=1.0, epochs=3) == [1, 2, 3]


def test_a_large_network_is_saved_at_the_interval_of_the_cost_that_was_measured():
    saved = simulated(Cadence(), size=136 * MB, epoch=3.4, cost=0.5, epochs=100)
    steps = {b - a for a, b in pairwise(saved[1:])}
    assert saved[0] == 30  # 136 MB at 100 MB/s: 1.36 s, every 99 s
    assert steps == {18}  # of 0.5 s: every 60 s


def test_what_tune_takes_from_epoch_to_epoch_is_no_cost_of_a_checkpoint():
    cadence = Cadence()
    simulated(cadence, size=100 * MB, epoch=10.0, cost=0.5, epochs=30, gap=5.0)
    assert cadence.seconds_per_byte == pytest.approx(0.5 / (100 * MB))


def test_one_stall_does_not_stretch_the_interval_and_a_slower_disk_does():
    cadence = Cadence()
    for cost in (0.2, 30.0, 0.2):
        cadence.paid(0, 0.0)
        cadence.paid(20 * MB, cost)
        assert interval(20 * MB * cadence.seconds_per_byte) == pytest.approx(interval(0.2))
    for cost in (2.0, 2.0):
        cadence.paid(20 * MB, cost)
    assert interval(20 * MB * cadence.seconds_per_byte) == pytest.approx(interval(2.0))


@given(
    size=st.integers(SMALL + 1, 2_000 * MB), epoch=st.floats(0.1, 1000), per_mb=st.floats(1e-4, 1.0),
)  # fmt: skip
def test_saving_costs_at_most_its_share_of_the_training_and_a_kill_what_is_promised(size, epoch, per_mb):
    cost, epochs = per_mb * size / MB, 60
    cadence = Cadence(seconds_per_byte=cost / size)
    saved = simulated(cadence, size=size, epoch=epoch, cost=cost, epochs=epochs, gap=0.0)
    assert len(saved) * cost <= MOST * epochs * epoch * (1 + 1e-9)
    at_risk = seconds_at_risk(size, epoch, cost / size)
    assert all((b - a) * epoch <= at_risk * (1 + 1e-9) for a, b in pairwise([0, *saved, epochs]))
