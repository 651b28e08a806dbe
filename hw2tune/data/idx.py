"""MNIST in the four idx files that torchvision keeps in MNIST/raw, plain or gzipped.

The format: http://yann.lecun.com/exdb/mnist/ (big-endian: magic number, sizes of the dimensions, bytes).
"""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw2tune.data.damage import damaged
from hw2tune.data.dataset import Labels, Pixels, Progress, Split, Unsplit
from hw2tune.errors import DataError

SIDE = 28  # pixels
MAGIC = {1: 0x00000801, 3: 0x00000803}  # unsigned bytes in 1 dimension (labels) or 3 (images)


@dataclass(frozen=True, kw_only=True)
class IdxFile:
    """One of the published files; `md5` is that of the unzipped bytes."""

    name: str
    count: int  # images or labels
    dimensions: int
    md5: str

    @property
    def header_bytes(self) -> int:
        """The magic number and the sizes of the dimensions."""
        return 4 + 4 * self.dimensions

    @property
    def length(self) -> int:
        """Bytes, unzipped."""
        return self.header_bytes + self.count * (SIDE * SIDE if self.dimensions == 3 else 1)


TRAIN_IMAGES = IdxFile(
    name="train-images-idx3-ubyte", count=60_000, dimensions=3, md5="6bbc9ace898e44ae57da46a324031adb"
)
TRAIN_LABELS = IdxFile(
    name="train-labels-idx1-ubyte", count=60_000, dimensions=1, md5="a25bea736e30d166cdddb491f175f624"
)
TEST_IMAGES = IdxFile(name="t10k-images-idx3-ubyte", count=10_000, dimensions=3, md5="2646ac647ad5339dbf082846283269ea")
TEST_LABELS = IdxFile(name="t10k-labels-idx1-ubyte", count=10_000, dimensions=1, md5="27ae3e4e09519cfbb04c329615203637")
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def holds(folder: Path) -> bool:
    """Whether there is any of the four files, so that the folder means to be MNIST."""
    return any(_path(folder, file).exists() for file in FILES)


def check_quickly(folder: Path) -> None:
    """Raise DataError for a file that is missing or (unzipped) of the wrong length, without reading any."""
    for file in FILES:
        path = _present(folder, file)
        if path.suffix != ".gz" and (found := path.stat().st_size) != file.length:
            raise damaged(path, expected=f"{file.length:,} bytes", found=f"{found:,}")


def read(folder: Path, progress: Progress | None = None) -> Unsplit:
    """MNIST from the four files in `folder`; DataError unless they are bit for bit the published ones."""
    trainval = Split(images=_read_images(folder, TRAIN_IMAGES), labels=_read_labels(folder, TRAIN_LABELS))
    test = Split(images=_read_images(folder, TEST_IMAGES), labels=_read_labels(folder, TEST_LABELS))
    return Unsplit(label="MNIST", source=str(folder), trainval=trainval, test=test)


def _read_images(folder: Path, file: IdxFile) -> Pixels:
    content = _read_verified(folder, file)
    return np.frombuffer(content, np.uint8, offset=file.header_bytes).reshape(file.count, SIDE, SIDE, 1)


def _read_labels(folder: Path, file: IdxFile) -> Labels:
    content = _read_verified(folder, file)
    return np.frombuffer(content, np.uint8, offset=file.header_bytes).astype(np.int64)


def _read_verified(folder: Path, file: IdxFile) -> bytearray:
    """The file's unzipped bytes, which are the published ones to the bit."""
    path = _present(folder, file)
    content = _unzipped(path)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        _say_what_differs(path, file, content)
        raise damaged(path, expected=f"the published MNIST with md5 {file.md5}", found=f"md5 {md5}")
    return content


def _say_what_differs(path: Path, file: IdxFile, content: bytearray) -> None:
    """Raises DataError where header, length or labels show it; pixels are only known by their sum."""
    if len(content) < file.header_bytes:
        raise damaged(path, expected=f"{file.length:,} bytes", found=f"{len(content):,}")
    magic, *sizes = struct.unpack_from(f">{1 + file.dimensions}I", content)
    if magic != MAGIC[file.dimensions]:
        raise damaged(path, expected=f"magic number 0x{MAGIC[file.dimensions]:08x}", found=f"0x{magic:08x}")
    shape = (file.count, SIDE, SIDE)[: file.dimensions]
    if tuple(sizes) != shape:
        raise damaged(path, expected=f"sizes {_times(shape)} in its header", found=_times(sizes))
    if len(content) != file.length:
        raise damaged(path, expected=f"{file.length:,} bytes", found=f"{len(content):,}")
    labels = np.frombuffer(content, np.uint8, offset=file.header_bytes)
    if file.dimensions == 1 and labels.max() > 9:
        at = int(labels.argmax())
        raise damaged(path, expected="labels from 0 to 9", found=f"{labels[at]} as label number {at:,}")


def _unzipped(path: Path) -> bytearray:
    """A bytearray, so that the arrays on top of it can be written to."""
    if path.suffix != ".gz":
        return bytearray(path.read_bytes())
    try:
        return bytearray(gzip.decompress(path.read_bytes()))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(path, expected="a complete gzip file", found=f"'{error}'") from error


def _path(folder: Path, file: IdxFile) -> Path:
    plain = folder / file.name
    zipped = folder / f"{file.name}.gz"
    return zipped if zipped.exists() and not plain.exists() else plain


def _present(folder: Path, file: IdxFile) -> Path:
    path = _path(folder, file)
    if path.is_file():
        return path
    raise DataError(
        f"{path}: this file (or {file.name}.gz) is missing beside the others of MNIST. "
        "Add it or remove the folder; an incomplete copy is never used or passed over."
    )


def _times(sizes: tuple[int, ...] | list[int]) -> str:
    return " x ".join(str(size) for size in sizes)
