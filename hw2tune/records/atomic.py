"""Files that exist whole or not at all, the errors of a disk that refuses, and records that may be damaged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from hw2tune.errors import NotWritableError

Record = TypeVar("Record")
Content = bytes | memoryview  # of bytes


def write_atomically(path: Path, content: Content | str, *, durable: bool = False, modified: int | None = None) -> None:
    """Write a whole file or nothing, making its folder where there is none. Raises NotWritableError.

    `durable` is for what must survive a power loss: else the new name may come back without its content. `modified` is
    the file's time of modification in ns, by default now.
    """
    whole = content.encode() if isinstance(content, str) else content
    with replacing(path, len(whole), durable=durable, modified=modified) as file:
        file.write(whole)


@contextlib.contextmanager
def replacing(path: Path, size: int, *, durable: bool = False, modified: int | None = None) -> Iterator[BinaryIO]:
    """Around writing about `size` bytes to a file that takes the place of `path` at the end, as `write_atomically`."""
    # Two containers, in each of which hw2tune is process 1, may write one file. (mkstemp would make its mode 0600.)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    with writing(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("xb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            if modified is not None:
                os.utime(beside, ns=(modified, modified))
            os.replace(beside, path)  # noqa: PTH105  # pathlib's rename would need the same two paths
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)  # a part would keep the space that is missing
            raise
        if durable:
            _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder last; a file system that cannot does so by itself."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def writing(path: Path, size: int) -> Iterator[None]:
    """Around writing `size` bytes to `path`: an error of the system becomes a NotWritableError."""
    try:
        yield
    except OSError as error:
        raise not_writable(path, error, size) from error


def not_writable(path: Path, error: OSError, size: int) -> NotWritableError:
    """The error, with the space that is there."""
    what = f"{path}: cannot be written ({error.strerror or error})"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return NotWritableError(what)
    there = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(there).free
    return NotWritableError(f"{what}: {size / 1e6:.3f} MB wanted, {free / 1e6:.3f} MB free")


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """The record in a JSON file; None if it is missing, damaged or of another shape. Unknown keys are ignored."""
    try:
        return parse_record(path.read_bytes(), kind)
    except OSError:
        return None


def dump_record(record: Any) -> str:
    """Return a dataclass as JSON."""
    return json.dumps(record, default=vars)  # `asdict` copies each of the 40,000 files of a large study


def parse_record(content: str | bytes, kind: type[Record]) -> Record | None:
    """Return the record in a JSON text, or None if it is damaged or of another shape. Unknown keys are ignored."""
    try:
        record: Record = _adapter(kind).validate_json(content)  # type: ignore[arg-type]  # a class hashes
    except ValidationError:
        return None
    return record


_adapter = cache(TypeAdapter)  # making one takes milliseconds


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files and links below a folder; what another process removes meanwhile is left out."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in (*names, *links))


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Inode, size and time of modification, of which a write changes one at least; None without a file."""
    try:
        with path.open("rb") as opened:  # opening asks a network file system for the present state
            stat = os.fstat(opened.fileno())
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged`, numbered if that exists, and return the new path."""
    names = (f"{path.name}.damaged{'' if number == 1 else number}" for number in count(1))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.rename(aside)
    return aside
