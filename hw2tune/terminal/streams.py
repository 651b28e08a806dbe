"""Standard output for results alone, and streams that outlive their reader.

A terminal that was closed, a pipe whose reader has left, a full disk behind a redirection: a write there fails, and a
study must not.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160  # nothing is folded where no terminal says how wide it is


class LastingFile(io.FileIO):
    """A file descriptor that is turned into /dev/null by the first write that fails."""

    def write(self, content: object) -> int:
        """All of `content`, or none of it from the first failure on."""
        view = memoryview(content).cast("B")  # type: ignore[arg-type]  # bytes, or a view of some
        done = 0
        while done < len(view):
            try:
                written = super().write(view[done:])
            except OSError:
                turn_to_null(self.fileno())
                return len(view)
            if written is None:  # set to non-blocking by somebody who shares it
                select.select([], [self.fileno()], [])
            else:
                done += written
        return done


def turn_to_null(descriptor: int) -> None:
    """Make a file descriptor write nowhere, for libraries as well."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def make_streams_last() -> None:
    """Replaces sys.stdout and sys.stderr. A character that the terminal's encoding lacks is shown as `?`."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by whoever started us: the next file opened would be written to as if it were stdout
            turn_to_null(descriptor)
    sys.stdout = _lasting(1, sys.stdout)
    sys.stderr = _lasting(2, sys.stderr)


_results: list[TextIO] = []  # the innermost `stdout_for_results` is last


def results() -> TextIO:
    """Return the stream for results: standard output, whatever users' code prints meanwhile."""
    return _results[-1] if _results else sys.stdout


def stdout() -> Console:
    """Return the console for results."""
    from hw2tune.terminal.formats import PlainConsole

    terminal = results().isatty()
    width = None if terminal else PIPE_WIDTH
    return PlainConsole(file=results(), highlight=False, markup=False, force_terminal=terminal, width=width)


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to stderr what anything but `results()` prints: users' code, libraries written in C, child processes."""
    with contextlib.ExitStack() as stack:
        stream = sys.stdout
        with contextlib.suppress(OSError, ValueError):  # a notebook's or a test's stream has no file behind it
            if stream.fileno() == 1:
                stream.flush()
                kept = os.dup(1)
                os.dup2(2, 1)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, 1)
                stream = _lasting(kept, stream)
        _results.append(stream)
        stack.callback(lambda: _results.pop().flush())
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def _lasting(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:
    file = LastingFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=(before and before.encoding) or "utf-8",
        errors="replace",
        line_buffering=descriptor == 2 or file.isatty(),
    )
