"""Decoded image folders in the user's cache, one file each, with what only decoding tells of them."""

import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hw2tune.data.dataset import Pixels
from hw2tune.data.roots import cache_dir


def cache_file(key: str) -> Path:
    """Where the images of `key` are kept."""
    return cache_dir() / "decoded" / f"{key}.npz"


def cached_files() -> list[Path]:
    """The decoded image folders that there are, also parts of one that a kill left. Each is made again if missed."""
    return sorted(path for path in cache_file("").parent.glob("*") if path.suffix in (".npz", ".part"))


def load(key: str) -> tuple[Pixels, dict[str, Any]] | None:
    """The stored images (N, H, W, C) and their facts if they are whole; None means decode (again)."""
    try:
        with cache_file(key).open("rb") as file, np.load(file) as stored:  # the zip inside checks its CRC
            return stored["images"], json.loads(stored["facts"].item())
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store(key: str, images: Pixels, facts: Mapping[str, Any]) -> None:
    """Keep `images` and `facts` (JSON) for next time; a cache that cannot be written costs time then, nothing now."""
    file = cache_file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            _write_whole(Path(part.name), file, images, json.dumps(facts))
    except OSError:
        return


def _write_whole(part: Path, file: Path, images: Pixels, facts: str) -> None:
    """All of the file or none: written under another name first."""
    try:
        with part.open("wb") as out:
            np.savez(out, images=images, facts=facts)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
