"""Published data sets: their layouts below a root and their archives on the internet."""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from hw2tune.data import idx
from hw2tune.data.catalog import DATASETS, damaged, incomplete
from hw2tune.data.dataset import Progress, Split, Unsplit
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


Copy: TypeAlias = tuple[Path, Layout]  # a data set's folder on disk, perhaps damaged, and its layout

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
