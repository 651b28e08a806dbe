"""Hyperparameter studies for small vision networks, with claims that hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "StudyResult",
    "__version__",
    "find_leftovers",
    "load_study",
    "read_study",
    "remove_leftovers",
    "replicate_study",
    "reproduce",
    "run_study",
    "stop_study",
    "write_report",
]

if TYPE_CHECKING:
    from hw2tune.api import (
        find_leftovers,
        load_study,
        read_study,
        remove_leftovers,
        replicate_study,
        reproduce,
        run_study,
        stop_study,
        write_report,
    )
    from hw2tune.study_result import StudyResult


def __getattr__(name: str) -> Any:
    """What `api` offers, imported when it is asked for: `import hw2tune` costs nothing."""
    if name in __all__:
        from hw2tune import api

        return getattr(api, name)
    raise AttributeError(f"module 'hw2tune' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
