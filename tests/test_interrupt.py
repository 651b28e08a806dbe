"""Signals that end a command: the first asks, the second ends, an ignored one stays ignored."""

import os
import signal

import pytest

from hw2tune.interrupt import ENDING, interruptible, to_the_end


@pytest.fixture(params=ENDING, ids=lambda number: signal.Signals(number).name)
def number(request):
    """One of the signals, with its handler restored afterwards."""
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


def test_these_are_all_that_schedulers_send():
    assert {signal.Signals(number).name for number in ENDING} == {
        "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU",
    }  # fmt: skip


def test_the_first_asks_to_stop_and_ctrl_c_then_ends(number):
    signal.signal(number, signal.SIG_DFL)
    asked = []
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: asked.append(number)):
        os.kill(os.getpid(), number)
        assert asked == [number]
        os.kill(os.getpid(), signal.SIGINT)


def test_an_ignored_signal_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with interruptible(lambda: pytest.fail("heard")):
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.SIG_IGN


def test_the_limit_of_processor_time_counts_once_though_the_kernel_repeats_it():
    asked = []
    with interruptible(lambda: asked.append("stop")):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGXCPU)
    assert asked == ["stop"]


def test_a_clean_up_is_done_before_a_signal_ends_it(number):
    signal.signal(number, signal.default_int_handler)
    done = []
    with pytest.raises(KeyboardInterrupt), to_the_end():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        done.append("cleaned")
    assert done == ["cleaned"] and signal.getsignal(number) is signal.default_int_handler
