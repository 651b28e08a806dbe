"""What a shell completes: names of studies, samplers, pruners, data sets. Each press of Tab starts a process, so what
takes time to import is not imported, and what is wrong is said by the command and not here.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from hw2tune.study.names import shipped_studies

LEFTOVERS = ("last-checkpoints", "weights", "set-aside", "decoded-images", "scratch")


def one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Complete one of these names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def results(ctx: typer.Context, incomplete: str) -> list[str]:
    """Studies in the results, of --results-dir where that was typed before."""
    from hw2tune.errors import Hw2tuneError
    from hw2tune.records.layout import study_folders

    place = str(ctx.params.get("results_dir") or "ray_results")
    if "://" in place:  # to look there takes seconds
        return []
    try:
        there = [folder.name for folder in study_folders(Path(place).expanduser())]
    except Hw2tuneError:
        return []
    named = ctx.params.get("names") or ()
    return [name for name in there if name.startswith(incomplete) and name not in named]


def shipped(incomplete: str) -> list[str]:
    """Studies that hw2tune ships."""
    return [name for name in shipped_studies() if name.startswith(incomplete)]


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """What STUDY may be: one that ships, one in the results, a .toml file here or in a folder that was begun."""
    begun = glob.escape(incomplete)
    files = sorted({*glob.glob(f"{begun}*.toml"), *(glob.glob(f"{begun}*/*.toml") if incomplete else [])})  # noqa: PTH207  # as it was typed
    mine = [file for file in files if Path(file).name != "pyproject.toml"]
    return list(dict.fromkeys([*shipped(incomplete), *results(ctx, incomplete), *mine]))


def data_sets(incomplete: str) -> list[str]:
    """Data sets that hw2tune knows."""
    from hw2tune.data.catalog import DATASETS

    return [name for name in DATASETS if name.startswith(incomplete)]
