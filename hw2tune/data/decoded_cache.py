"""Decoded image folders in the user's cache, one file per folder, with what only decoding tells of them."""

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

# What a cache that cannot be read, or was written by an earlier version, makes of reading it.
UNUSABLE = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The image files that were decoded: SHA-256 of each by its path in the folder."""

    folder: str
    digests: dict[str, str]

    def changed(self) -> list[str]:
        """The files that are gone or hold something else than what was decoded."""
        return [file for file, digest in self.digests.items() if file_digest(Path(self.folder, file)) != digest]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; empty if it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def cache_file(key: str) -> Path:
    """Where the images of `key` are kept."""
    return cache_dir() / "decoded" / f"{key}.npz"


def cached_files() -> list[Path]:
    """The decoded image folders that there are, also parts of one that a kill left. Each is made again if missed."""
    return sorted(path for path in cache_file("").parent.glob("*") if path.suffix in (".npz", ".part"))


def load(key: str, fingerprint: str) -> tuple[Pixels, dict[str, Any]] | None:
    """The stored images (N, H, W, C) and their facts if they are whole; None means decode (again)."""
    try:
        with cache_file(key).open("rb") as file, np.load(file) as stored:  # the zip inside checks its CRC
            if stored["fingerprint"].item() == fingerprint:
                return stored["images"], json.loads(stored["facts"].item())
    except UNUSABLE:
        pass
    return None


def sources() -> Iterator[tuple[Path, Sources]]:
    """Each decoded image folder with the files that it was made of."""
    for path in cached_files():
        with suppress(*UNUSABLE), path.open("rb") as file, np.load(file) as stored:
            yield path, Sources(**json.loads(stored["sources"].item()))


def store(key: str, fingerprint: str, images: Pixels, facts: Mapping[str, Any], sources: Sources) -> None:
    """Keep `images` and `facts` (JSON) in place of an older copy; a cache that cannot be written only costs time."""
    file = cache_file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            texts = {"fingerprint": fingerprint, "facts": json.dumps(facts), "sources": json.dumps(asdict(sources))}
            _write_whole(Path(part.name), file, images=images, **texts)
    except OSError:
        return


def _write_whole(part: Path, file: Path, **content: Any) -> None:
    """All of the file or none: written under another name first."""
    try:
        with part.open("wb") as out:
            np.savez(out, **content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
