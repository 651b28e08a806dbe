"""MNIST and data sets in its format: four idx files, plain or gzipped, in the folder that torchvision uses.

The format: http://yann.lecun.com/exdb/mnist/ (big-endian: magic number, sizes of the dimensions, bytes).
"""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hw2tune.data.catalog import damaged, incomplete
from hw2tune.data.dataset import Progress, Split, Unsplit

SIDE = 28  # pixels
MAGIC = {1: 0x00000801, 3: 0x00000803}  # unsigned bytes in 1 dimension (labels) or 3 (images)


@dataclass(frozen=True)
class IdxFile:
    """A published file; `md5` is that of the unzipped bytes, `zipped_md5` of the file as published."""

    name: str
    count: int  # images or labels
    dimensions: int
    md5: str | None = None
    zipped_md5: str | None = None

    @property
    def header_bytes(self) -> int:
        return 4 + 4 * self.dimensions  # the magic number and the sizes

    @property
    def length(self) -> int:
        return self.header_bytes + self.count * (SIDE * SIDE if self.dimensions == 3 else 1)

    def path(self, folder: Path) -> Path:
        """Return the path of the plain file, or of the zipped one if only that exists."""
        plain, zipped = folder / self.name, folder / f"{self.name}.gz"
        return zipped if zipped.exists() and not plain.exists() else plain


@dataclass(frozen=True, kw_only=True)
class IdxSet:
    """Images and labels of train, images and labels of test; `transposed` if rows and columns are exchanged."""

    title: str
    files: tuple[IdxFile, ...]
    folder: str = ""  # of torchvision, below a root
    names: str = "{train,t10k}"  # of the files, for humans
    transposed: bool = False

    @property
    def place(self) -> str:
        return f"{self.folder}/raw"

    @property
    def pattern(self) -> str:
        return f"{self.place}/{self.names}-{{images-idx3,labels-idx1}}-ubyte (or .gz)"

    @property
    def zipped(self) -> dict[str, str | None]:
        return {f"{file.name}.gz": file.zipped_md5 for file in self.files}

    def holds(self, folder: Path) -> bool:
        return any(file.path(folder).exists() for file in self.files)

    def check_quickly(self, folder: Path) -> None:
        """Raise DataError for a missing file or one of the wrong length (unzipped), without reading any."""
        for file in self.files:
            path = self._present(folder, file)
            if path.suffix != ".gz" and (found := path.stat().st_size) != file.length:
                raise damaged(path, expected=f"{file.length:,} bytes", found=f"{found:,}")

    def read(self, folder: Path, progress: Progress | None = None) -> Unsplit:
        """Return the images of the four files in `folder`. Raises DataError unless they are the published ones.

        Files of MNIST and Fashion-MNIST are known bit for bit, and so are KMNIST's zipped files. EMNIST's zipped files
        have gzip's checksum only, and plain files of KMNIST and EMNIST are known by their form alone.
        """
        trainval, test = (self._split(folder, *pair) for pair in (self.files[:2], self.files[2:]))
        unknown = [path.name for file in self.files if (path := file.path(folder)).suffix != ".gz" and not file.md5]
        form = f"of {', '.join(unknown)} only the form was checked: unzipped, {self.title} has no published checksum"
        notes = (form,) if unknown else ()
        return Unsplit(label=self.title, source=str(folder), trainval=trainval, test=test, notes=notes)

    def _split(self, folder: Path, images: IdxFile, labels: IdxFile) -> Split:
        content, labels_content = self._verified(folder, images), self._verified(folder, labels)
        pixels = np.frombuffer(content, np.uint8, offset=images.header_bytes).reshape(images.count, SIDE, SIDE, 1)
        return Split(
            images=np.ascontiguousarray(pixels.transpose(0, 2, 1, 3)) if self.transposed else pixels,
            labels=np.frombuffer(labels_content, np.uint8, offset=labels.header_bytes).astype(np.int64),
        )

    def _verified(self, folder: Path, file: IdxFile) -> bytearray:
        """Return the file's unzipped bytes, compared with the digest if it is published, else with the form."""
        path = self._present(folder, file)
        content = blob = bytearray(path.read_bytes())  # arrays on top of a bytearray can be written to
        expected = file.md5
        if path.suffix == ".gz":
            try:
                content = bytearray(gzip.decompress(blob))
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise damaged(path, expected="a complete gzip file", found=f"'{error}'") from error
            expected = file.md5 or file.zipped_md5
        md5 = hashlib.md5(content if file.md5 else blob, usedforsecurity=False).hexdigest() if expected else None
        if expected is None or md5 != expected:
            _check_form(path, file, content)
        if md5 != expected:
            raise damaged(path, expected=f"the published {self.title} with md5 {expected}", found=f"md5 {md5}")
        return content

    def _present(self, folder: Path, file: IdxFile) -> Path:
        path = file.path(folder)
        if path.is_file():
            return path
        raise incomplete(path, self.title, f"{file.name}.gz")


def _check_form(path: Path, file: IdxFile, content: bytearray) -> None:
    """Raise DataError for a wrong header, length or label; wrong pixels change only the digest."""
    if len(content) < file.header_bytes:
        raise damaged(path, expected=f"{file.length:,} bytes", found=f"{len(content):,}")
    magic, *sizes = struct.unpack_from(f">{1 + file.dimensions}I", content)
    if magic != MAGIC[file.dimensions]:
        raise damaged(path, expected=f"magic number 0x{MAGIC[file.dimensions]:08x}", found=f"0x{magic:08x}")
    shape = [file.count, SIDE, SIDE][: file.dimensions]
    if sizes != shape:
        expected, found = (" x ".join(map(str, numbers)) for numbers in (shape, sizes))
        raise damaged(path, expected=f"sizes {expected} in its header", found=found)
    if len(content) != file.length:
        raise damaged(path, expected=f"{file.length:,} bytes", found=f"{len(content):,}")
    labels = np.frombuffer(content, np.uint8, offset=file.header_bytes)
    if file.dimensions == 1 and labels.max() > 9:
        at = int(labels.argmax())
        raise damaged(path, expected="labels from 0 to 9", found=f"{labels[at]} as label number {at:,}")


Digests: TypeAlias = tuple[str | None, str | None, str | None, str | None]
UNKNOWN: Digests = (None, None, None, None)


def _four(
    prefix: str, train: int, test: int, *, md5: Digests = UNKNOWN, zipped_md5: Digests = UNKNOWN
) -> tuple[IdxFile, ...]:
    """Return the files by their common names; the test files are called t10k in MNIST."""
    splits = (("train", train), ("test" if prefix else "t10k", test))
    parts = product(splits, (("images", 3), ("labels", 1)))
    return tuple(
        IdxFile(f"{prefix}{split}-{kind}-idx{dimensions}-ubyte", count, dimensions, plain, zipped)
        for ((split, count), (kind, dimensions)), plain, zipped in zip(parts, md5, zipped_md5, strict=True)
    )


MNIST = IdxSet(
    title="MNIST",
    folder="MNIST",
    files=_four("", 60_000, 10_000, md5=(
        "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637",
    )),
)  # fmt: skip
# Digests of zipped files: torchvision 0.29 (torchvision/datasets/mnist.py). Those of Fashion-MNIST's plain files are of
# Debian's dataset-fashion-mnist: zipped by `gzip -6` at the published time they have the published digests.
FASHION_MNIST = IdxSet(
    title="Fashion-MNIST",
    folder="FashionMNIST",
    files=_four("", 60_000, 10_000, md5=(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965",
    ), zipped_md5=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
    )),
)  # fmt: skip
KMNIST = IdxSet(
    title="KMNIST",
    folder="KMNIST",
    files=_four("", 60_000, 10_000, zipped_md5=(
        "bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134",
    )),
)  # fmt: skip
EMNIST_DIGITS = IdxSet(
    title="EMNIST digits",
    folder="EMNIST",
    files=_four("emnist-digits-", 240_000, 40_000),
    names="emnist-digits-{train,test}",
    transposed=True,
)
