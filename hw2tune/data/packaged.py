"""Texts that packages ship, zipped, known by their digest."""

import gzip
import hashlib
import zlib
from pathlib import Path

from hw2tune.data.damage import damaged


def verified_text(file: Path, sha256: str, *, zipped: str, text: str) -> str:
    """The unzipped text of a file; DataError unless it has this digest. `zipped` and `text` say what is expected."""
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(file, expected=zipped, found=f"'{error}'") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise damaged(file, expected=f"{text} with sha256 {sha256}", found=f"sha256 {found}")
    return content.decode("ascii").rstrip("\n")
