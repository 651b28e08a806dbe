"""Results behind a URL: s3://bucket/studies, gs://, hdfs://, file:///, what pyarrow opens. Whole files and no locks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.errors import StoreError
from hw2tune.printable import without_secrets

FileVersion = tuple[int, int]  # a file's size in bytes and time of modification in ns


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder behind a URL; keys are paths below it. Every method raises StoreError where it cannot be reached."""

    url: str  # as it may be printed
    files: Any  # pyarrow.fs.FileSystem
    base: str

    def list_files(self, below: str = "") -> dict[str, FileVersion]:
        """The files below a folder by key; none where the folder is not there."""
        from pyarrow.fs import FileSelector, FileType

        folder = f"{self.base}/{below}".rstrip("/")
        with _reaching(self.url):
            infos = self.files.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        return {
            info.path[len(self.base) + 1 :]: (info.size, info.mtime_ns or 0)
            for info in infos
            if info.type == FileType.File
        }

    def modified(self, key: str) -> float | None:
        """When a file was last written, in seconds since the epoch by the store's clock; None where it is not there."""
        from pyarrow.fs import FileType

        with _reaching(self.url):
            info = self.files.get_file_info(f"{self.base}/{key}")
        return (info.mtime_ns or 0) / 1e9 if info.type == FileType.File else None

    def clock(self, key: str) -> float:
        """The store's time, in seconds since the epoch, by writing and removing a file of this key."""
        self.write(key, b"")
        now = self.modified(key)
        self.delete(key)
        return time.time() if now is None else now

    def read(self, key: str) -> bytes | None:
        """A whole file; None where it is not there."""
        with _reaching(self.url):
            try:
                with self.files.open_input_file(f"{self.base}/{key}") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes) -> None:
        """Replaces a file, making its folder where the store has folders."""
        target = f"{self.base}/{key}"
        local = self.files.type_name == "local"
        beside = target + ".part" if local else target  # an object is there whole or not at all; a file is not
        with _reaching(self.url):
            try:
                stream = self.files.open_output_stream(beside, compression=None)
            except FileNotFoundError:
                self.files.create_dir(target.rpartition("/")[0], recursive=True)
                stream = self.files.open_output_stream(beside, compression=None)
            with stream:
                stream.write(content)
            if local:
                self.files.move(beside, target)

    def delete(self, key: str) -> None:
        """Removes a file; that it is not there is no fault."""
        with _reaching(self.url), contextlib.suppress(FileNotFoundError):
            self.files.delete_file(f"{self.base}/{key}")


def is_url(place: str | Path) -> bool:
    """Whether results lie behind a URL and not under a path."""
    return "://" in str(place)


def shown(place: str | Path) -> str:
    """A place as it may be printed: of a URL neither user nor password nor options."""
    return without_secrets(str(place)).partition("?")[0].rstrip("/") if is_url(place) else str(place)


def open_store(url: str) -> Store:
    """The store behind a URL. Raises StoreError where there is none."""
    from pyarrow.fs import FileSystem, FileType

    scheme, _, where = url.partition("://")
    if not where.strip("/"):  # pyarrow looks for a bucket without a name for six seconds
        raise StoreError(f"{url}: names no {'folder' if scheme == 'file' else 'bucket'}; write s3://bucket/studies")
    with _reaching(shown(url)):
        files, base = FileSystem.from_uri(url)
        bucket = base.partition("/")[0]
        if bucket and files.get_file_info(bucket).type == FileType.NotFound:
            raise FileNotFoundError(f"no bucket `{bucket}`")
    return Store(url=shown(url), files=files, base=base.rstrip("/"))


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as error:  # what pyarrow raises are kinds of these
        reason = (without_secrets(str(error)).splitlines() or [type(error).__name__])[0]
        # `from None`: pyarrow's own text may quote the URL with its password.
        raise StoreError(
            f"{url}: cannot be reached ({reason}); check the address, the bucket and the credentials"
        ) from None
