"""The line of the user's code that an error came from: such an error is told as theirs."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

from hw2tune.text.plain import first_line

OURS = str(Path(__file__).parents[1])


def is_users(error: BaseException, code: Mapping[str, str]) -> bool:
    """Return whether an error from a call of the user's code is theirs, and neither ours nor the disk's."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return bool(_users_line(error, code)) or not (isinstance(error, OSError) or last.filename.startswith(OURS))


def in_words(error: BaseException, code: Mapping[str, str]) -> str:
    """Return an error as one line, `net.py, line 12: ValueError: too wide`, with the innermost line of the `code`."""
    return _users_line(error, code) + ": ".join(filter(None, [type(error).__name__, first_line(error, "")]))


def _users_line(error: BaseException, code: Mapping[str, str]) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in code]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
