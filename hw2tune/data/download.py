"""Downloads of published data sets with pooch: once, under a lock, atomically, without torch."""

import gzip
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hw2tune.data import idx
from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Progress
from hw2tune.data.layouts import ARCHIVES, LAYOUTS, Copy, find_copy
from hw2tune.errors import DataError
from hw2tune.text.plain import without_secrets

# Errors of requests (all OSError), pooch, gzip and tarfile for a missing, truncated or wrong mirror.
FAILURES = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, zipfile.BadZipFile)
TIMEOUT_SECONDS = 20  # between two packets of a mirror
LARGEST = 1_000_000_000  # bytes of an archive; EMNIST's, the largest, has half of it
LENGTHS = {file.name: file.length for of in (idx.MNIST, idx.FASHION_MNIST, idx.KMNIST) for file in of.files}  # unzipped


def download(info: DatasetInfo, roots: tuple[Path, ...], progress: Progress | None = None) -> Copy:
    """Download the data set into the first writable root, unless another process just did.

    The environment variable HW2TUNE_MIRROR, a base URL with the published file names (train-images-idx3-ubyte.gz, ...,
    cifar-10-python.tar.gz), replaces the published mirrors. Raises DataError with possible fixes and leaves no partial
    download.
    """
    root = _first_writable(info, roots)
    with _only_one(root, info, progress):
        if (copy := find_copy(info.name, roots)) is not None:
            return copy
        layout = LAYOUTS[info.name][0]
        try:
            with tempfile.TemporaryDirectory(dir=root, prefix=".hw2tune-download-") as folder:
                unpacked = Path(folder, layout.place)
                mirror = _fetch(info, unpacked if ARCHIVES[info.name].inside else unpacked.parent, progress)
                try:
                    layout.read(unpacked, None)
                except DataError as error:
                    raise ValueError(f"{mirror} sent something else: {error}") from error
                unpacked.rename(_ready(root, info))
            return _move(root, info)
        except FAILURES as error:
            raise not_found(info, roots, f"downloading it failed ({without_secrets(str(error))})") from error


def not_found(info: DatasetInfo, roots: tuple[Path, ...], why: str) -> DataError:
    """Return the error for a missing data set, with three fixes."""
    for root in roots:
        near = [root.parent, root.parent.parent]
        with suppress(OSError):
            near += [path for path in root.iterdir() if path.is_dir()]
        for folder in near:
            if find_copy(info.name, (folder,)) is not None:
                return DataError(
                    f"{info.name}: no copy of {info.title} in {root}, but one in {folder}; use that folder with "
                    "--data-dir or HW2TUNE_DATA."
                )
    patterns = ", or as ".join(str(roots[0] / layout.pattern) for layout in LAYOUTS[info.name])
    return DataError(
        f"{info.name}: no copy of {info.title} in {', '.join(map(str, roots))}, and {why}. "
        f"Put the files at {patterns}; or use --data-dir or HW2TUNE_DATA with the folder that has them; "
        f"or connect to the internet and run `hw2tune data fetch {info.name}`."
    )


def _fetch(info: DatasetInfo, folder: Path, progress: Progress | None) -> str:
    """Download and unpack the archives into `folder`, and return the first mirror that had them all."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # the terminal is ours
    archives, named = ARCHIVES[info.name], os.environ.get("HW2TUNE_MIRROR")
    refusals = []
    for mirror in (named.rstrip("/") + "/",) if named else archives.mirrors:
        try:
            for name, md5 in archives.md5_of.items():
                downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, progressbar=_Bar(info.title, progress))
                known = md5 and f"md5:{md5}"
                pooch.retrieve(mirror + name, known, fname=name, path=folder, downloader=downloader)
                if archives.unpacked:
                    _unpack(folder / name, folder, info.name)
            return mirror
        except FAILURES as error:
            refusals.append(f"{mirror}: {_reason(error)}")
    raise ConnectionError("; ".join(refusals))


def _reason(error: BaseException) -> str:
    """Return the operating system's text if possible: that of requests names all of its internals."""
    innermost = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    return innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else str(error)


def _unpack(archive: Path, folder: Path, dataset: str) -> None:
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
    """Pooch's progress bar, in megabytes; raises ValueError for a download larger than any archive."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self.title, self.progress = title, progress
        self.total = self.done = 0  # bytes

    def update(self, done: int) -> None:
        self.done += done
        if self.done > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        if self.progress:
            self.progress(f"downloading {self.title}, MB", self.done // 1_000_000, self.total // 1_000_000)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None: ...


def _ready(root: Path, info: DatasetInfo) -> Path:
    """Return the folder of a complete, verified download until all of it is in its place."""
    return root / f".hw2tune-{info.name}-ready"


def finish_moves(info: DatasetInfo, roots: tuple[Path, ...]) -> None:
    """Move the rest of a download whose command was killed while moving the files."""
    for root in roots:
        if _ready(root, info).exists():
            with _only_one(root, info, None):
                _move(root, info)


def _move(root: Path, info: DatasetInfo) -> Copy:
    """Move the download to its place, unless another process has moved it by now."""
    layout, ready = LAYOUTS[info.name][0], _ready(root, info)
    place = root / layout.place
    place.parent.mkdir(parents=True, exist_ok=True)
    if ready.exists() and not place.exists():
        ready.rename(place)  # atomic: no process sees a part
    elif ready.exists():
        for file in ready.iterdir():  # into an existing folder with none or some of the data set's files
            shutil.move(file, place / file.name)
        ready.rmdir()
    return place, layout


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
