"""Fetching published data sets with pooch: once, under a lock, whole or not at all. No torch is needed for it."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hw2tune.data import idx
from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Progress
from hw2tune.data.layouts import LAYOUTS, Copy, find_copy
from hw2tune.errors import DataError
from hw2tune.printable import without_secrets

# What a mirror that is away, cut short or wrong makes of requests (all OSError), pooch, gzip and tarfile.
FAILURES = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, zipfile.BadZipFile)
TIMEOUT_SECONDS = 20  # between two packets of a mirror's
LARGEST = 1_000_000_000  # bytes of an archive: EMNIST's has half of it, the others less
LENGTHS = {file.name: file.length for of in (idx.MNIST, idx.FASHION_MNIST, idx.KMNIST) for file in of.files}  # unzipped


@dataclass(frozen=True, kw_only=True)
class Archives:
    """The published files, as torchvision 0.29 names them (torchvision/datasets/{mnist,cifar}.py)."""

    mirrors: tuple[str, ...]  # each ends with a slash
    md5_of: dict[str, str | None]  # None: the unpacked files are verified anyhow, and mirrors zip them in their own way
    inside: bool = True  # whether the files go into the data set's own folder; else the archive brings it along
    unpacked: bool = True  # else the archives stay as they are: only the digests of zipped files are known


ARCHIVES = {
    "mnist": Archives(
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        md5_of={
            "train-images-idx3-ubyte.gz": None,
            "train-labels-idx1-ubyte.gz": None,
            "t10k-images-idx3-ubyte.gz": None,
            "t10k-labels-idx1-ubyte.gz": None,
        },
    ),
    "cifar10": Archives(
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        # Checked before unpacking: an archive may hold more than it should.
        md5_of={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        inside=False,
    ),
    "fashion-mnist": Archives(
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        md5_of={f"{file.name}.gz": file.zipped_md5 for file in idx.FASHION_MNIST.files},
    ),
    "kmnist": Archives(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        md5_of={f"{file.name}.gz": file.zipped_md5 for file in idx.KMNIST.files},
        unpacked=False,
    ),
    "emnist-digits": Archives(
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        md5_of={"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
    ),
}


def download(info: DatasetInfo, roots: tuple[Path, ...], progress: Progress | None = None) -> Copy:
    """Fetch the data set into the first root that can be written, unless another process just did.

    The environment variable HW2TUNE_MIRROR, a base URL, replaces the published mirrors; it serves the published file
    names (train-images-idx3-ubyte.gz, ..., cifar-10-python.tar.gz). Raises DataError with the ways out; what was half
    fetched is gone then.
    """
    root = _first_writable(info, roots)
    with _only_one(root, info, progress):
        if (copy := find_copy(info.name, roots)) is not None:
            return copy
        try:
            return _download_into(root, info, progress)
        except FAILURES as error:
            raise not_found(info, roots, f"downloading it failed ({without_secrets(str(error))})") from error


def not_found(info: DatasetInfo, roots: tuple[Path, ...], why: str) -> DataError:
    """The error for a data set that is nowhere, with the three ways out."""
    for root in roots:
        for near in (root.parent, root.parent.parent, *(p for p in _children(root))):
            if find_copy(info.name, (near,)) is not None:
                return DataError(
                    f"{info.name}: there is no copy of {info.title} in {root}, but in {near}: name that folder with "
                    "--data-dir or HW2TUNE_DATA."
                )
    patterns = ", or as ".join(str(roots[0] / layout.pattern) for layout in LAYOUTS[info.name])
    return DataError(
        f"{info.name}: there is no copy of {info.title} in {', '.join(map(str, roots))}, and {why}. Three ways out: "
        f"put the files at {patterns}; or name the folder that holds them with --data-dir or HW2TUNE_DATA; "
        f"or connect to the internet and run `hw2tune data fetch {info.name}`."
    )


def _children(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.is_dir()]
    except OSError:
        return []


def _download_into(root: Path, info: DatasetInfo, progress: Progress | None) -> Copy:
    """Unpack and verify in a folder aside, then move the whole into its place."""
    layout = LAYOUTS[info.name][0]
    with tempfile.TemporaryDirectory(dir=root, prefix=".hw2tune-download-") as aside:
        unpacked = Path(aside) / layout.place
        mirror = _fetch_archives(info, unpacked if ARCHIVES[info.name].inside else unpacked.parent, progress)
        try:
            layout.read(unpacked, None)
        except DataError as error:
            raise ValueError(f"{mirror} sent something else: {error}") from error
        unpacked.rename(_ready(root, info))
    return _move(root, info)


def _fetch_archives(info: DatasetInfo, folder: Path, progress: Progress | None) -> str:
    """Downloads and unpacks the archives into `folder`, and returns the first mirror that had them all."""
    archives, named = ARCHIVES[info.name], os.environ.get("HW2TUNE_MIRROR")
    mirrors = (named.rstrip("/") + "/",) if named else archives.mirrors
    refusals = []
    for mirror in mirrors:
        try:
            for name, md5 in archives.md5_of.items():
                archive = _fetch(mirror + name, md5, folder, _Bar(info.title, progress))
                if archives.unpacked:
                    _unpack(archive, folder, info.name)
            return mirror
        except FAILURES as error:
            refusals.append(f"{mirror}: {_reason(error)}")
    raise ConnectionError("; ".join(refusals))


def _reason(error: BaseException) -> str:
    """The operating system's own text where there is one: that of requests names all of its internals."""
    innermost = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    return innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else str(error)


def _fetch(url: str, md5: str | None, folder: Path, bar: _Bar) -> Path:
    """Download one archive."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # the terminal is ours
    return Path(
        pooch.retrieve(
            url, known_hash=md5 and f"md5:{md5}", fname=url.rpartition("/")[2], path=folder,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, progressbar=bar),
        )
    )  # fmt: skip


def _unpack(archive: Path, folder: Path, dataset: str) -> None:
    """Replace an archive with its files."""
    name = archive.name
    if name.endswith(".tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    elif name.endswith(".zip"):  # EMNIST: gzip/emnist-digits-train-images-idx3-ubyte.gz and those of other data sets
        with zipfile.ZipFile(archive) as zipped_files:
            for member in zipped_files.namelist():
                if Path(member).name.startswith(f"{dataset}-"):
                    (folder / Path(member).name).write_bytes(zipped_files.read(member))
    else:
        plain_name = name.removesuffix(".gz")
        with gzip.open(archive) as zipped, (folder / plain_name).open("wb") as plain:
            length = LENGTHS[plain_name]
            plain.write(zipped.read(length))
            if zipped.read(1):
                raise ValueError(f"{name} unpacks to more than {length:,} bytes")
    archive.unlink()


class _Bar:
    """What pooch tells of a download, in megabytes; one that is larger than any archive ends there."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self.title, self.progress = title, progress
        self.total = self.done = 0  # bytes

    def update(self, done: int) -> None:
        """`done` bytes more are here."""
        self.done += done
        if self.done > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        if self.progress:
            self.progress(f"downloading {self.title}, MB", self.done // 1_000_000, self.total // 1_000_000)

    def reset(self) -> None:
        """The download begins, or is over."""
        self.done = 0

    def close(self) -> None:
        """Nothing is open."""


def _ready(root: Path, info: DatasetInfo) -> Path:
    """The folder of a download that is whole and verified, until all of it is in its place."""
    return root / f".hw2tune-{info.name}-ready"


def finish_moves(info: DatasetInfo, roots: tuple[Path, ...]) -> None:
    """Move the rest of a download whose command was killed while it moved the files."""
    for root in roots:
        if _ready(root, info).exists():
            with _only_one(root, info, None):
                _move(root, info)


def _move(root: Path, info: DatasetInfo) -> Copy:
    """The download in its place, unless another process has moved it by now."""
    layout, ready = LAYOUTS[info.name][0], _ready(root, info)
    place = root / layout.place
    place.parent.mkdir(parents=True, exist_ok=True)
    if ready.exists() and not place.exists():
        ready.rename(place)  # in one step: nobody sees half of it
    elif ready.exists():
        for file in ready.iterdir():  # into a folder that holds none of the data set's files, or some of these
            shutil.move(file, place / file.name)
        ready.rmdir()
    return Copy(folder=place, layout=layout)


def _first_writable(info: DatasetInfo, roots: tuple[Path, ...]) -> Path:
    for root in roots:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                return root
        except OSError:
            continue
    raise not_found(info, roots, "none of these folders can be written to")


@contextmanager
def _only_one(root: Path, info: DatasetInfo, progress: Progress | None) -> Iterator[None]:
    """Hold the lock against a second process that fetches the same data set into the same root."""
    from filelock import FileLock, Timeout

    lock = FileLock(root / f".hw2tune-{info.name}.lock", fallback_to_soft=False)  # a soft one outlives a killed process
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:  # without locks two processes may fetch the same files, each into a folder of its own
        pass
    except Timeout:
        if progress:
            progress(f"waiting for another process that fetches {info.title}", 0, 1)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
