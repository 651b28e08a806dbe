"""Published data sets on disk: the layouts of each below a root, and the search through the roots."""

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


def find_copy(name: str, roots: tuple[Path, ...]) -> Copy | None:
    """Return the first copy in the order of the roots, even a damaged one: it must be repaired, not passed over."""
    for root in roots:
        for layout in LAYOUTS[name]:
            if layout.holds(root / layout.place):
                return Copy(folder=root / layout.place, layout=layout)
    return None
