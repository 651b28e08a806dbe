"""Results behind a URL: s3://bucket/studies, gs://, hdfs://, file:///, what pyarrow opens. Whole files and no locks."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.errors import StoreError
from hw2tune.text.plain import first_line, without_secrets

OBJECT_STORES = ("s3", "gcs", "abfs")  # an object is there whole or not at all; a file, as of HDFS, is not
PART = ".part"
FileVersion = tuple[int, int]  # a file's size in bytes and time of modification in ns


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder behind a URL; keys are paths below it. Every method raises StoreError where it cannot be reached."""

    url: str  # as it may be printed
    files: Any  # pyarrow.fs.FileSystem
    base: str

    def list_files(self, below: str = "") -> dict[str, FileVersion]:
        """The files below a folder by key; none where the folder is not there."""
        return {key: (info.size, info.mtime_ns or 0) for key, info in self._listed(below, recursive=True)}

    def entries(self, folder: str = "") -> dict[str, float]:
        """Names of files and folders directly in a folder, with their times of modification by the store's clock."""
        listed = self._listed(folder, recursive=False)
        return {key.rpartition("/")[2].removesuffix(PART): (info.mtime_ns or 0) / 1e9 for key, info in listed}

    def _listed(self, folder: str, *, recursive: bool) -> list[tuple[str, Any]]:
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(f"{self.base}/{folder}".rstrip("/"), recursive=recursive, allow_not_found=True)
        with _reaching(self.url):
            infos = self.files.get_file_info(selector)
        return [
            (info.path[len(self.base) + 1 :], info) for info in infos if info.type == FileType.File or not recursive
        ]

    def clock(self, folder: str) -> float:
        """The store's time, in seconds since the epoch, by a file written to this folder; ours where it takes none."""
        key = f"{folder}/clock-{uuid.uuid4().hex}"
        try:
            self.write(key, b"")
            with _reaching(self.url):
                modified = self.files.get_file_info(f"{self.base}/{key}").mtime_ns
            self.delete(key)
        except StoreError:  # a reader may not be allowed to write
            return time.time()
        return modified / 1e9 if modified else time.time()

    def read(self, key: str) -> bytes | None:
        """A whole file; None if it is not there."""
        # HDFS replaces a file in two steps, between which, and after a kill there, only the part exists.
        for name in (key,) if self.files.type_name in OBJECT_STORES else (key, key + PART, key):
            with _reaching(self.url), contextlib.suppress(FileNotFoundError):
                with self.files.open_input_file(f"{self.base}/{name}") as file:
                    return bytes(file.read())
        return None

    def write(self, key: str, content: bytes | Iterable[bytes]) -> None:
        """Replace a file by its content, whole or in parts, making its folder where the store has folders."""
        target = f"{self.base}/{key}"
        at_once = self.files.type_name in OBJECT_STORES
        place = target if at_once else target + PART
        with _reaching(self.url):
            try:
                stream = self.files.open_output_stream(place, compression=None)
            except FileNotFoundError:
                self.files.create_dir(target.rpartition("/")[0], recursive=True)
                stream = self.files.open_output_stream(place, compression=None)
            with stream:
                for part in (content,) if isinstance(content, bytes) else content:
                    stream.write(part)
            if not at_once:
                self.files.move(place, target)

    def delete(self, key: str) -> None:
        """Remove a file; that it is not there is no fault."""
        with _reaching(self.url), contextlib.suppress(FileNotFoundError):
            self.files.delete_file(f"{self.base}/{key}")


def is_url(place: str | Path) -> bool:
    """Return whether results lie behind a URL and not under a path."""
    return "://" in str(place)


def shown(place: str | Path) -> str:
    """A place as it may be printed: of a URL neither user nor password nor options."""
    if not is_url(place):
        return str(place)
    scheme, _, rest = without_secrets(str(place)).partition("?")[0].partition("://")
    return f"{scheme}://{rest.rstrip('/')}"


def open_store(url: str) -> Store:
    """The store behind a URL. Raises StoreError if there is none."""
    from pyarrow.fs import FileSystem, FileType

    scheme, _, where = url.partition("://")
    if not where.strip("/"):  # pyarrow looks for a bucket without a name for six seconds
        raise StoreError(
            f"{shown(url)}: names no {'folder' if scheme == 'file' else 'bucket'}; write s3://bucket/studies"
        )
    with _reaching(shown(url)):
        files, base = FileSystem.from_uri(url)
        bucket = base.partition("/")[0]
        if bucket and files.get_file_info(bucket).type == FileType.NotFound:
            raise FileNotFoundError(f"no bucket `{bucket}`")
    return Store(url=shown(url), files=files, base=base.rstrip("/"))


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    from pyarrow.lib import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, NotImplementedError) as error:
        reason = first_line(without_secrets(str(error)), type(error).__name__)
        # `from None`: pyarrow's own text may quote the URL with its password.
        raise StoreError(
            f"{url}: cannot be reached ({reason}); check the address, the bucket and the credentials"
        ) from None
