"""How a command is ended from outside: Ctrl-C, SIGTERM and a terminal that goes away are one thing.

The first asks a study to end in order, the second ends it at once. A signal that whoever started us has set to be
ignored (`nohup`, a shell's `disown`, a job in the background of a script) stays ignored.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_WAITING = [number for number in ENDING if number != signal.SIGINT]  # Ctrl-C is Python's own
INTERRUPTED = 130  # exit code: what a shell reports for a process ended by Ctrl-C


def end_as_ctrl_c() -> None:
    """From here on each of these signals raises KeyboardInterrupt, as Ctrl-C does."""
    for number in _heard():
        signal.signal(number, signal.default_int_handler)


def end_no_more() -> None:
    """The command is over but for Python's own end, which a signal would only garble."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    # CPython 3.11 to 3.13: an interrupt within `eval` or `exec` of a string (a namedtuple or a dataclass being made)
    # is remembered as unhandled and ends the process by SIGINT whatever was done about it; the next `eval` forgets it.
    eval("None")


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` on the first of these signals and raises KeyboardInterrupt on the second."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def first(_signal: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        stop()

    before = {number: signal.signal(number, first) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """For the length of a `with` these signals wait; behind it the handlers of before are in force, and hear them.

    For libraries that put handlers of their own in place, of C's own kind, which Python does not see.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def start_deaf_thread(work: Callable[[], object]) -> None:
    """Starts a thread that no signal is delivered to: they are for the main thread."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    threading.Thread(target=work, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _heard() -> list[int]:
    return [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
