"""Paths given by a user: how they are read, the errors in them, and the default folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hw2tune.errors import PathError


def expand(text: str | Path, said_by: str) -> Path:
    """Return the path with `~` expanded; relative ones stay relative. Raises PathError, naming the option `said_by`."""
    written = str(text)
    if not written.strip() or "\0" in written:
        raise PathError(f"{said_by} {written!r}: is no path; leave it out, or name a folder")
    try:
        return Path(written).expanduser() if written.startswith("~") else Path(written)  # `./~` is a folder's name
    except RuntimeError:
        raise PathError(f"{said_by} {written}: there is no home folder of this name; write the whole path") from None


def existing_folder(text: str | Path, said_by: str) -> Path:
    """Return a folder that must exist. Raises PathError."""
    path = folder(text, said_by)
    if not path.is_dir():
        raise PathError(f"{said_by} {path}: no such folder; look at how it is written, or make it")
    return path


def folder(text: str | Path, said_by: str) -> Path:
    """Return a folder that may be made later. Raises PathError if a file is in its place."""
    path = expand(text, said_by)
    for part in (path, *path.parents):
        try:
            if part.is_dir():
                break
            if part.exists():
                raise PathError(f"{said_by} {path}: {part} is a file; name a folder")
        except OSError as error:  # also for a name that is too long
            raise PathError(f"{said_by} {path}: {part} cannot be looked into ({error.strerror})") from None
    return path


def results_folder(text: str | Path) -> Path:
    """Return the folder of studies. Raises PathError also for a study's own folder, which is one level too deep."""
    path = folder(text, "--results-dir")
    study = path.parent if path.name == "arms" else path
    if (study / "study.toml").exists() and any((study / name).exists() for name in ("optuna.journal", "arms")):
        raise PathError(f"--results-dir {path}: is a study's folder; name the one above it, {study.parent}")
    return path


def refuse_links_out(root: Path) -> None:
    """Raise PathError for a link within the folder `root` to outside of it: what is written or removed is within."""
    for link in _links(root):
        if not Path(os.path.realpath(link)).is_relative_to(os.path.realpath(root)):
            raise PathError(f"{link}: is a link out of {root}, to {link.readlink()}; put what it names in its place")


def _links(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir() and not entry.path.endswith(
                ("/logs/wandb", "/logs/wandb.part")
            ):  # W&B links each run's log to its cache
                yield from _links(Path(entry.path))


def refuse_unwritable(target: Path, said_by: str) -> None:
    """Raise PathError if nothing could be written at `target`; leaves nothing behind."""
    there = next(part for part in (target.absolute(), *target.absolute().parents) if os.path.lexists(part))
    if not there.is_dir():
        what = "a file" if there.exists() else "a link to nowhere"
        raise PathError(f"{said_by}: {there} is {what}, and a folder is wanted there; move it away")
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise PathError(
            f"{said_by}: {there} cannot be written to ({error.strerror}); make it writable, or name another place"
        ) from None


def safe_name(text: str) -> str:
    """Return a name for a file or folder, different for every text, on every file system.

    Short lower-case words stay as they are. Other texts are shown as far as a file system allows, with a digest.
    """
    if re.fullmatch(r"(?:[a-z0-9_-]|(?<=[a-z0-9_-])\.\d){1,64}", text):
        return text
    shown = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:40]
    return f"{shown}~{hashlib.sha256(text.encode()).hexdigest()[:12]}"  # no short name has a `~`


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
