"""Fetching MNIST and CIFAR-10 with torchvision: once, under a lock, whole or not at all."""

import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Progress
from hw2tune.data.layouts import LAYOUTS, Copy, find_copy
from hw2tune.errors import DataError

# What a mirror that is away, cut short or wrong makes of urllib, gzip, tarfile and torchvision.
FAILURES = (OSError, EOFError, RuntimeError, ValueError, zlib.error, http.client.HTTPException)
TIMEOUT_SECONDS = 20  # for a mirror's first word


@dataclass(frozen=True, kw_only=True)
class Archives:
    """The published files, as torchvision 0.29 names them (torchvision/datasets/{mnist,cifar}.py)."""

    mirrors: tuple[str, ...]  # each ends with a slash
    md5_of: dict[str, str | None]  # None: the unpacked files are verified anyhow, and mirrors zip them in their own way


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
            return _download_into(root, info)
        except FAILURES as error:
            raise not_found(info, roots, f"downloading it failed ({error})") from error


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


def _download_into(root: Path, info: DatasetInfo) -> Copy:
    """Unpack and verify in a folder aside, then move the whole into its place."""
    layout = LAYOUTS[info.name][0]
    mirror = _first_that_answers(ARCHIVES[info.name])
    with tempfile.TemporaryDirectory(dir=root, prefix=".hw2tune-download-") as aside:
        unpacked = Path(aside) / layout.place
        below = unpacked if info.name == "mnist" else unpacked.parent  # CIFAR-10's archive brings its folder along
        _fetch_archives(mirror, ARCHIVES[info.name], below)
        try:
            layout.read(unpacked, None)
        except DataError as error:
            raise ValueError(f"{mirror} sent something else: {error}") from error
        _move(unpacked, root / layout.place)
    return Copy(folder=root / layout.place, layout=layout)


def _fetch_archives(mirror: str, archives: Archives, folder: Path) -> None:
    """Download and unpack with torchvision, which draws a progress bar on stderr."""
    from torchvision.datasets.utils import download_and_extract_archive

    for name, md5 in archives.md5_of.items():
        download_and_extract_archive(mirror + name, str(folder), filename=name, md5=md5, remove_finished=True)


def _first_that_answers(archives: Archives) -> str:
    """Asked before torchvision is imported, which takes seconds: being offline should be said at once."""
    named = os.environ.get("HW2TUNE_MIRROR")
    mirrors = (named.rstrip("/") + "/",) if named else archives.mirrors
    refusals = []
    for mirror in mirrors:
        url = mirror + next(iter(archives.md5_of))
        try:
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS).close()
        except FAILURES as error:
            refusals.append(f"{url}: {error}")
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # an answer, with its socket
        else:
            return mirror
    raise ConnectionError("; ".join(refusals))


def _move(folder: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        folder.rename(place)  # in one step: nobody sees half of it
        return
    for file in folder.iterdir():  # into a folder that holds none of the data set's files
        shutil.move(file, place / file.name)


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

    lock = FileLock(root / f".hw2tune-{info.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            progress(f"waiting for another process that fetches {info.title}", 0, 1)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
