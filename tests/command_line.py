"""A command of hw2tune in this process, as `console.main` runs it: words, exit code, and nothing of it stays."""

import contextlib
import io
import subprocess
from pathlib import Path

import pytest

from hw2tune import console


def hw2tune(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder `cwd` without a terminal; `--debug` and signals need a process."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as changed:
        changed.chdir(cwd)
        changed.setattr("sys.stdin", io.StringIO())
        for name, value in {"COLUMNS": "120", **environment}.items():
            changed.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = console._run(words, debug=False)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
