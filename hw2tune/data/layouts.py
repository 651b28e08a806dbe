"""Published data sets: their layouts below a root and their archives on the internet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hw2tune.data import idx
from hw2tune.data.catalog import DATASETS
from hw2tune.data.cifar_batches import CifarBatches
from hw2tune.data.dataset import Progress, Unsplit
from hw2tune.data.image_folder import ImageFolder


class Layout(Protocol):
    """A form of a data set on disk, and its reader."""

    @property
    def place(self) -> str: ...  # the folder below the root
    @property
    def pattern(self) -> str: ...  # the files below the root, for humans
    def holds(self, folder: Path, /) -> bool: ...
    def check_quickly(self, folder: Path, /) -> None: ...  # raises DataError; reads next to nothing
    def read(self, folder: Path, progress: Progress | None = None, /) -> Unsplit: ...  # raises DataError for any damage


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A data set on disk, perhaps damaged."""

    folder: Path
    layout: Layout


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
                return Copy(folder=root / layout.place, layout=layout)
    return None
