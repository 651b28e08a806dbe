"""stdout and stderr that outlive their reader: what cannot be shown is not shown, and the command goes on.

A terminal that was closed, a pipe whose reader has left, a full disk behind a redirection: a write there fails, and a
study must not.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO


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
    """Makes a file descriptor write nowhere, for libraries as well."""
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


def _lasting(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:
    file = LastingFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=(before and before.encoding) or "utf-8",
        errors="replace",
        line_buffering=descriptor == 2 or file.isatty(),
    )
