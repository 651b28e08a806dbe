"""The folders searched for data sets, and hw2tune's cache folder."""

import os
from pathlib import Path

from hw2tune.paths import expand, folder


def cache_dir() -> Path:
    """Return the folder in HW2TUNE_CACHE, or the user's cache folder for hw2tune."""
    if named := os.environ.get("HW2TUNE_CACHE"):
        return expand(named, "HW2TUNE_CACHE").absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("hw2tune"))


def data_roots(data_dir: Path | None = None) -> tuple[Path, ...]:
    """Return the folders for data sets in the order of the search: `data_dir`, HW2TUNE_DATA, the user's cache."""
    named = [("--data-dir", data_dir), ("HW2TUNE_DATA", os.environ.get("HW2TUNE_DATA"))]
    roots = [folder(value, said_by).absolute() for said_by, value in named if value]
    return tuple(dict.fromkeys([*roots, cache_dir() / "data"]))
