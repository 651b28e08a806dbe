"""Hyperparameter studies for small vision networks, with claims that hold."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "NotebookDisplay",
    "StudyResult",
    "__version__",
    "load_study",
    "read_study",
    "replicate_study",
    "reproduce",
    "run_study",
    "write_report",
]

if TYPE_CHECKING:
    from hw2tune.api import load_study, read_study, replicate_study, reproduce, run_study, write_report
    from hw2tune.study_result import StudyResult
    from hw2tune.terminal.notebook import NotebookDisplay


def __getattr__(name: str) -> Any:
    """What `api` offers, imported when it is asked for: `import hw2tune` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'hw2tune' has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm 4's, which Optuna imports in a notebook
        if name == "NotebookDisplay":
            from hw2tune.terminal.notebook import NotebookDisplay

            return NotebookDisplay
        from hw2tune import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
