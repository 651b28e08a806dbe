"""Signals that end a command: Ctrl-C, a closed terminal, and every signal that a scheduler sends before a limit.

The first signal asks a study to end gracefully, the second ends it at once. A signal that was ignored at the start
(`nohup`, a shell's `disown`, a background job of a script) stays ignored.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")  # XCPU: the soft limit of processor time
ENDING = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
_WAITING = [number for number in ENDING if number != signal.SIGINT]  # Ctrl-C is Python's own
INTERRUPTED = 130  # exit code: what a shell reports for a process ended by Ctrl-C
INTERRUPTED_TEXT = "interrupted; finished work is kept, run the same command again to continue"


def end_as_ctrl_c() -> None:
    """Let each of these signals raise KeyboardInterrupt, as Ctrl-C does."""
    for number in _heard():
        signal.signal(number, signal.default_int_handler)


def end_no_more() -> None:
    """Ignore signals from now on: only Python's own end is left, which a signal would garble."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    # CPython 3.11 to 3.13: an interrupt within `eval` or `exec` of a string (a namedtuple or a dataclass being made)
    # is remembered as unhandled and ends the process by SIGINT whatever was done about it; the next `eval` forgets it.
    eval("None")


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the first of these signals; raise KeyboardInterrupt on the second.

    SIGXCPU counts once: the kernel repeats it after each further second of processor time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def first(_signal: int, _frame: FrameType | None) -> None:
        for number in before:
            again = signal.SIG_IGN if number == signal.SIGXCPU else signal.default_int_handler
            signal.signal(number, again)
        stop()

    before = {number: signal.signal(number, first) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_wait() -> Iterator[Callable[[], None]]:
    """Hold these signals back within the `with`; the earlier handlers are restored and get them after it.

    Yields a function that lets those through that came so far, for a long wait with the handlers still in place.

    For libraries that put handlers of their own in place, of C's own kind, which Python does not see: Ray 2.60 replaces
    that of SIGTERM three times at its start, and at its end sets it to the system's, which kills the process.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)

    def let_through() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)

    try:
        yield let_through
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


@contextlib.contextmanager
def to_the_end() -> Iterator[None]:
    """Hold these signals and Ctrl-C back within the `with`, a brief clean-up; the first is raised again after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


def start_deaf_thread(work: Callable[[], object]) -> None:
    """Start a thread that gets no signals: they are for the main thread."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    threading.Thread(target=work, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _heard() -> list[int]:
    return [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
