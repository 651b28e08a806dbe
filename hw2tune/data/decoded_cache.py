"""Decoded image folders in the user's cache, one file per folder, with the facts known only from decoding."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hw2tune.data.dataset import Pixels
from hw2tune.data.roots import cache_dir

# Errors from reading a cache file that is damaged or from an earlier version.
UNUSABLE = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Decoded image files: SHA-256 of each by its path in the folder."""

    folder: str
    digests: dict[str, str]

    def changed(self) -> list[str]:
        """Return the files that are missing or changed since they were decoded."""
        return [file for file, digest in self.digests.items() if file_digest(Path(self.folder, file)) != digest]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def cache_file(key: str) -> Path:
    """Return the path of the images of `key`."""
    return cache_dir() / "decoded" / f"{key}.npz"


def cached_files() -> list[Path]:
    """Return all files of the cache, also unfinished ones left by a kill. A removed file is decoded again if needed."""
    return sorted(path for path in cache_file("").parent.glob("*") if path.suffix in (".npz", ".part"))


def load(key: str, fingerprint: str) -> tuple[Pixels, dict[str, Any]] | None:
    """Return the stored images (N, H, W, C) and their facts, or None if they are missing, damaged or outdated."""
    try:
        with cache_file(key).open("rb") as file, np.load(file) as stored:  # the zip inside checks its CRC
            if stored["fingerprint"].item() == fingerprint:
                return stored["images"], json.loads(stored["facts"].item())
    except UNUSABLE:
        pass
    return None


def sources() -> Iterator[tuple[Path, Sources]]:
    """Yield each decoded image folder with its source files."""
    for path in cached_files():
        with suppress(*UNUSABLE), path.open("rb") as file, np.load(file) as stored:
            yield path, Sources(**json.loads(stored["sources"].item()))


def store(key: str, fingerprint: str, images: Pixels, facts: Mapping[str, Any], sources: Sources) -> None:
    """Store `images` and `facts` (JSON) in place of an older copy; a cache that cannot be written only costs time."""
    file = cache_file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            texts = {"fingerprint": fingerprint, "facts": json.dumps(facts), "sources": json.dumps(asdict(sources))}
            _write_whole(Path(part.name), file, images=images, **texts)
    except OSError:
        return


def _write_whole(part: Path, file: Path, **content: Any) -> None:
    """Write the file atomically, under another name first."""
    try:
        with part.open("wb") as out:
            np.savez(out, **content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
