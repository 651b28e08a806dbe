"""CIFAR-10 in the six pickled batches that torchvision keeps in cifar-10-batches-py.

Unpickling runs code, so only bytes with the published md5 are unpickled.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np

from hw2tune.data.catalog import damaged, incomplete
from hw2tune.data.dataset import Progress, Split, Unsplit

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
    """The layout of torchvision's CIFAR10."""

    place = "cifar-10-batches-py"
    pattern = "cifar-10-batches-py/{data_batch_1,...,data_batch_5,test_batch}"

    def holds(self, folder: Path) -> bool:
        """Return whether any of the six batches exists, so that the folder is meant as CIFAR-10."""
        return any((folder / name).exists() for name in [*TRAIN_MD5, *TEST_MD5])

    def check_quickly(self, folder: Path) -> None:
        """Raise DataError for a missing batch, without reading any."""
        for name in [*TRAIN_MD5, *TEST_MD5]:
            _present(folder / name)

    def read(self, folder: Path, progress: Progress | None = None) -> Unsplit:
        """Return the six batches in `folder`. Raises DataError unless they are bit for bit the published ones."""
        trainval, test = read_batches(folder, TRAIN_MD5), read_batches(folder, TEST_MD5)
        return Unsplit(label="CIFAR-10", source=str(folder), trainval=trainval, test=test)


def read_batches(folder: Path, md5_of: dict[str, str]) -> Split:
    """Return the images of the batches in `md5_of`, in this order."""
    blobs = [_read_verified(folder / name, md5) for name, md5 in md5_of.items()]
    batches = [pickle.loads(blob, encoding="bytes") for blob in blobs]
    planes = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return Split(
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),  # (N, 32, 32, 3)
        labels=np.concatenate([np.asarray(batch[b"labels"], np.int64) for batch in batches]),
    )


def _read_verified(path: Path, md5: str) -> bytes:
    blob = _present(path).read_bytes()
    found = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    if found != md5:
        raise damaged(path, expected=f"the published CIFAR-10 with md5 {md5}", found=f"md5 {found}, so not unpickled")
    return blob


def _present(path: Path) -> Path:
    if path.is_file():
        return path
    raise incomplete(path, "CIFAR-10")
