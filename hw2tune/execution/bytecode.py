"""Python's bytecode for the workers of one command.

Python compiles what it imports and keeps the result beside it. Where it must not (containers set
PYTHONDONTWRITEBYTECODE) or cannot (packages of another user's), each worker would compile PyTorch and Ray anew, which
is longer than all else that it does before its first epoch.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source, find_spec
from pathlib import Path


def is_kept() -> bool:
    """Whether the bytecode of PyTorch lies beside it, or is written there at the first import."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None or Path(cache_from_source(spec.origin)).exists():
        return True
    return not sys.dont_write_bytecode and os.access(Path(spec.origin).parent, os.W_OK)


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """For the length of a `with`, processes that are started keep their bytecode in `folder`, if nowhere else."""
    if is_kept():
        yield
        return
    names = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    try:
        yield
    finally:
        del os.environ["PYTHONPYCACHEPREFIX"]
        os.environ.update(before)
