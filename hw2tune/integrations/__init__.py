"""Loggers of other libraries as listeners of a study's events, one file per library.

    hw2tune.run_study("quickstart", listeners=[TensorBoardLogger(), MLflowLogger()])

`--log` builds them by name. A library is imported when its logger is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.errors import LoggerError

if TYPE_CHECKING:
    from hw2tune.integrations.logger import RecordsLogger
    from hw2tune.integrations.mlflow import MLflowLogger
    from hw2tune.integrations.tensorboard import TensorBoardLogger
    from hw2tune.integrations.wandb import WandbLogger

__all__ = ["LOGGERS", "MLflowLogger", "TensorBoardLogger", "WandbLogger", "make_loggers"]

CSV_IS_GONE = (
    "the CSV logger is gone: `hw2tune.read_study(NAME).epochs` holds every epoch as a table, and `hw2tune summarize` "
    "writes tables/*.csv into the report's folder"
)

# By --log's name, which is the module's: the class. Light on purpose: a shell's completion imports this.
LOGGERS = {"tensorboard": "TensorBoardLogger", "mlflow": "MLflowLogger", "wandb": "WandbLogger"}


def make_loggers(names: Sequence[str], folders: Sequence[Path] = ()) -> list[RecordsLogger]:
    """Return loggers by name, once each, for studies in `folders`, which may not exist yet.

    Raises LoggerError or PathError if a logger could not log: its library is not installed, its server does not answer,
    a folder is not writable.
    """
    loggers: list[RecordsLogger] = [__getattr__(LOGGERS[name])() for name in dict.fromkeys(names)]
    for logger in loggers:
        for folder in folders:
            logger.check(folder)
    return loggers


def __getattr__(name: str) -> Any:
    if name == "CSVLogger":
        raise LoggerError(f"hw2tune.integrations.CSVLogger: {CSV_IS_GONE}")
    for module, logger in LOGGERS.items():
        if name == logger:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
