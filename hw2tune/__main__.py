"""`hw2tune`, and `python -m hw2tune`."""

import os
import sys

from hw2tune.interrupt import INTERRUPTED, INTERRUPTED_TEXT, end_as_ctrl_c, end_no_more


def main() -> None:
    """Listen to signals before anything slow is imported."""
    end_as_ctrl_c()
    if sys.flags.optimize > 1 and os.environ.pop("PYTHONOPTIMIZE", ""):  # Ray 2.60 needs its docstrings
        os.execv(sys.executable, sys.orig_argv)
    try:
        from hw2tune.console import main as run

        run()
    except KeyboardInterrupt:
        end_no_more()
        sys.stderr.write(f"hw2tune: {INTERRUPTED_TEXT}\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
