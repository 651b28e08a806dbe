"""A file system in memory as pyarrow shows one; each call is a step of the machine that makes it."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

from pyarrow.fs import FileSelector, FileType

from tests.records.exploring import saw, step


class MemoryFiles:
    """`s3`: an object is there whole or not at all. `hdfs`: a stand-in for a file system without atomic writes, where
    a file is empty until it is closed, and one that is in the way of a move is removed first."""

    def __init__(self, type_name: str = "s3", content: dict[str, bytes] | None = None) -> None:
        self.type_name, self.content = type_name, {} if content is None else content

    def get_file_info(self, where: Any) -> Any:
        step()
        if isinstance(where, str):
            return saw_info(self._info(where))
        below = where.base_dir + "/"
        names = {path for path in self.content if path.startswith(below)}
        if not where.recursive:
            names = {below + path.removeprefix(below).partition("/")[0] for path in names}
        return saw_info([self._info(path) for path in sorted(names)])

    def _info(self, path: str) -> Any:
        if path not in self.content:
            kind = FileType.Directory if any(p.startswith(path + "/") for p in self.content) else FileType.NotFound
            return SimpleNamespace(path=path, type=kind, size=None, mtime_ns=None)
        # Every claim looks silent, so that a takeover may come at any moment; else a file's time tells its content.
        time = 10**15 if "clock" in path else zlib.crc32(self.content[path]) + 1
        return SimpleNamespace(path=path, type=FileType.File, size=len(self.content[path]), mtime_ns=time)

    def open_input_file(self, path: str) -> Any:
        step()
        if path not in self.content:
            saw(None)
            raise FileNotFoundError(path)
        return _Stream(saw(self.content[path]))

    def open_output_stream(self, path: str, compression: None = None) -> Any:
        return _Stream(b"", lambda content: self._write(path, content), lambda: self._create(path))

    def _create(self, path: str) -> None:
        if self.type_name == "hdfs":
            step()
            self.content[path] = b""

    def _write(self, path: str, content: bytes) -> None:
        step()
        self.content[path] = content

    def create_dir(self, path: str, recursive: bool = True) -> None: ...

    def move(self, path: str, target: str) -> None:
        if target in self.content:
            step()
            self.content.pop(target, None)
        step()
        self.content[target] = self.content.pop(path)

    def delete_file(self, path: str) -> None:
        step()
        if self.content.pop(path, None) is None:
            raise FileNotFoundError(path)


class _Stream:
    def __init__(self, content: bytes, close: Any = None, create: Any = None) -> None:
        self.content, self.close = content, close
        if create is not None:
            create()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.close is not None and kind is None:
            self.close(self.content)

    def read(self) -> bytes:
        return self.content

    def write(self, content: bytes) -> None:
        self.content += content


def saw_info(infos: Any) -> Any:
    listed = infos if isinstance(infos, list) else [infos]
    saw(tuple((one.path, one.size, one.mtime_ns) for one in listed))
    return infos


__all__ = ["FileSelector", "MemoryFiles"]
