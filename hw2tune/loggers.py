"""Loggers of libraries: the terminal is ours, and a caller's settings come back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(*loggers: str) -> Iterator[None]:
    """Let these loggers report critical messages only, within the `with`."""
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
    """Silence Optuna, which sets its logger up when first asked."""
    import optuna

    optuna.logging.get_verbosity()
    with silenced("optuna"):
        yield
