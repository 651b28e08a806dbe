"""Decoded image folders in the user's cache, one file each."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from hw2tune.data.dataset import Pixels
from hw2tune.data.roots import cache_dir


def cache_file(key: str) -> Path:
    """Where the images of `key` are kept."""
    return cache_dir() / "decoded" / f"{key}.npz"


def cached_files() -> list[Path]:
    """The decoded image folders that there are, also parts of one that a kill left. Each is made again if missed."""
    return sorted(path for path in cache_file("").parent.glob("*") if path.suffix in (".npz", ".part"))


def load(key: str, shape: tuple[int, ...]) -> Pixels | None:
    """The stored images if they are whole and of `shape` (N, H, W, C); None means decode (again)."""
    try:
        with cache_file(key).open("rb") as file, np.load(file) as stored:  # the zip inside checks its CRC
            images = stored["images"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def store(key: str, images: Pixels) -> None:
    """Keep `images` for next time; a cache that cannot be written costs time then, and nothing now."""
    file = cache_file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            _write_whole(Path(part.name), file, images)
    except OSError:
        return


def _write_whole(part: Path, file: Path, images: Pixels) -> None:
    """All of the file or none: written under another name first."""
    try:
        with part.open("wb") as out:
            np.savez(out, images=images)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
