"""Workarounds for MLflow 3.17's file store.

It empties `meta.yaml` before it writes it, and a kill may come between: a run or an experiment of which that file is
empty makes every later search of the store fail. It keeps absolute places of artifacts: in a folder that was moved or
copied, new runs would be written where the folder was.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_RUN = re.compile("[0-9a-f]{32}")


def remove_torn(store: Path) -> None:
    """Removes from a study's own store what a kill has left half written or was moved; the records have it all.

    Where the study's own run is torn all go, as the others name it as their parent.
    """
    for experiment in store.glob("[0-9]*"):
        runs = [run for run in experiment.iterdir() if _RUN.fullmatch(run.name)]
        torn = [run for run in runs if not _is_written(run / "meta.yaml")]
        if not _is_written(meta := experiment / "meta.yaml") or f": {store.as_uri()}/" not in meta.read_text():
            shutil.rmtree(experiment)
        else:
            for run in runs if any(_is_parent(run) for run in torn) else torn:
                shutil.rmtree(run)


def _is_written(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _is_parent(run: Path) -> bool:
    return not (run / "tags" / "mlflow.parentRunId").exists()
