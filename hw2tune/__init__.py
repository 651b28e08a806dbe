"""Tune small vision networks, then test the gain on fresh seeds."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hw2tune.api import check_study as check_study
    from hw2tune.api import doctor as doctor
    from hw2tune.api import find_leftovers as find_leftovers
    from hw2tune.api import list_studies as list_studies
    from hw2tune.api import load_study as load_study
    from hw2tune.api import plan_replicates as plan_replicates
    from hw2tune.api import read_study as read_study
    from hw2tune.api import remove_leftovers as remove_leftovers
    from hw2tune.api import replicate_study as replicate_study
    from hw2tune.api import report_from_files as report_from_files
    from hw2tune.api import reproduce as reproduce
    from hw2tune.api import run_study as run_study
    from hw2tune.api import stop_study as stop_study
    from hw2tune.api import write_report as write_report
    from hw2tune.data.load import fetch_dataset as fetch_dataset
    from hw2tune.data.load import list_datasets as list_datasets
    from hw2tune.data.load import verify_datasets as verify_datasets
    from hw2tune.execution.machine import machine_facts as machine_facts
    from hw2tune.execution.machine import machine_problems as machine_problems
    from hw2tune.export.predict import predict as predict
    from hw2tune.export.write import export_model as export_model
    from hw2tune.replication.rerun import rerun_trial as rerun_trial
    from hw2tune.report.compare import compare_studies as compare_studies
    from hw2tune.report.paper.write import paper as paper
    from hw2tune.study.template import new_study as new_study
    from hw2tune.study_result import StudyResult as StudyResult
    from hw2tune.terminal.notebook import NotebookDisplay as NotebookDisplay
    from hw2tune.user_code.importer import trusting as trusting

__version__ = "0.1.0"

_NAMES = {  # what is public, by module
    "api": "check_study doctor find_leftovers list_studies load_study plan_replicates read_study "
    "remove_leftovers replicate_study report_from_files reproduce run_study stop_study write_report",
    "data.load": "fetch_dataset list_datasets verify_datasets",
    "execution.machine": "machine_facts machine_problems",
    "export.predict": "predict",
    "export.write": "export_model",
    "replication.rerun": "rerun_trial",
    "report.compare": "compare_studies",
    "report.paper.write": "paper",
    "study.template": "new_study",
    "study_result": "StudyResult",
    "terminal.notebook": "NotebookDisplay",
    "user_code.importer": "trusting",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(["__version__", *_MODULES])


def __getattr__(name: str) -> Any:
    """Import what is public when it is first used: `import hw2tune` costs nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module 'hw2tune' has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm 4's, which Optuna imports in a notebook
        return getattr(import_module(f"hw2tune.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
