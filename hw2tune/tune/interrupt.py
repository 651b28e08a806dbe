"""Ctrl-C: the first ends the study in order, the second at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` on the first SIGINT or SIGTERM and raises KeyboardInterrupt on the second."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def first(_signal: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        stop()

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
