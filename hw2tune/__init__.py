"""Tune small vision networks, then test the gain on fresh seeds."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "NotebookDisplay",
    "StudyResult",
    "__version__",
    "compare_studies",
    "export_model",
    "find_leftovers",
    "load_study",
    "predict",
    "read_study",
    "remove_leftovers",
    "replicate_study",
    "reproduce",
    "rerun_trial",
    "run_study",
    "stop_study",
    "trusting",
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
    from hw2tune.export.predict import predict
    from hw2tune.export.write import export_model
    from hw2tune.replication.rerun import rerun_trial
    from hw2tune.report.compare import compare_studies
    from hw2tune.study_result import StudyResult
    from hw2tune.terminal.notebook import NotebookDisplay
    from hw2tune.user_code.importer import trusting

# What is not in `api`, by its module.
_ELSEWHERE = {
    "NotebookDisplay": "hw2tune.terminal.notebook",
    "compare_studies": "hw2tune.report.compare",
    "export_model": "hw2tune.export.write",
    "predict": "hw2tune.export.predict",
    "rerun_trial": "hw2tune.replication.rerun",
    "trusting": "hw2tune.user_code.importer",
}


def __getattr__(name: str) -> Any:
    """Import an object of `api` or another module when it is first used: `import hw2tune` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'hw2tune' has no attribute {name!r}")
    from importlib import import_module

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm 4's, which Optuna imports in a notebook
        return getattr(import_module(_ELSEWHERE.get(name, "hw2tune.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
