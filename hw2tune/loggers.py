"""Loggers of libraries: the terminal is ours, and a caller's settings come back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(*loggers: str) -> Iterator[None]:
    """For the length of a `with`, these loggers say what is critical alone."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def optuna_silenced() -> Iterator[None]:
    """The same for Optuna, which sets its logger up when it is first asked."""
    import optuna

    optuna.logging.get_verbosity()
    with silenced("optuna"):
        yield
