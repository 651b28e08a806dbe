"""The console script: runs a command, and turns whatever ends it into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings

from hw2tune.errors import Hw2tuneError, InterruptedByUserError
from hw2tune.interrupt import INTERRUPTED_TEXT, end_as_ctrl_c, end_no_more
from hw2tune.terminal.streams import make_streams_last
from hw2tune.text.plain import first_line, printable, without_secrets
from hw2tune.variables import settle


def main() -> None:
    """Run the console script: an error that a user can fix is one line on stderr, and the exit code names its kind."""
    settle(os.environ)
    end_as_ctrl_c()
    make_streams_last()
    debug = "--debug" in sys.argv
    warnings.simplefilter("default" if debug else "ignore")  # of libraries: users of hw2tune can do nothing about them
    code = _run([argument for argument in sys.argv[1:] if argument != "--debug"], debug=debug)
    end_no_more()
    sys.exit(code)


def _run(arguments: list[str], *, debug: bool) -> int:
    """Run a command and return the exit code."""
    try:
        from hw2tune.cli import app

        app(args=arguments)
    except (KeyboardInterrupt, SystemExit) as end:
        if _interrupted(end):
            return _tell(InterruptedByUserError(INTERRUPTED_TEXT))
        return end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 0
    except Exception as error:  # the last place: a user gets one line of whatever it is
        if debug:
            traceback.print_exc()
        return _tell(error)
    return 0


def _interrupted(end: BaseException | None) -> bool:
    """Return whether a KeyboardInterrupt is the cause: Typer ends an interrupted command with 130 and no text."""
    while end is not None and not isinstance(end, KeyboardInterrupt):
        end = end.__cause__ or end.__context__
    return end is not None


def _tell(error: Exception) -> int:
    """Print an error in one line and return the exit code."""
    if isinstance(error, Hw2tuneError):
        print(f"hw2tune: {printable(without_secrets(str(error)))}", file=sys.stderr)
        return error.exit_code
    text = printable(without_secrets(first_line(f"{type(error).__name__}: {error}")))
    print(f"hw2tune: our fault: {text}; --debug shows where", file=sys.stderr)
    return 1
