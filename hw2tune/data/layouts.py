"""The ways in which a data set may lie in a root, and the search through the roots."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hw2tune.data import cifar_batches, idx, image_folder
from hw2tune.data.catalog import DATASETS
from hw2tune.data.dataset import Progress, Unsplit


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way: where below the root, and how to tell, check and read it there."""

    place: str  # the folder below the root
    pattern: str  # for humans: the files below the root
    holds: Callable[[Path], bool]
    check_quickly: Callable[[Path], None]  # raises DataError; reads next to nothing
    read: Callable[[Path, Progress | None], Unsplit]  # raises DataError unless all is well


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A data set on disk, perhaps a damaged one."""

    folder: Path
    layout: Layout

    def check_quickly(self) -> None:
        """Raise DataError for damage that shows without reading the files."""
        self.layout.check_quickly(self.folder)

    def read(self, progress: Progress | None = None) -> Unsplit:
        """The images; DataError for any damage."""
        return self.layout.read(self.folder, progress)


def find_copy(name: str, roots: tuple[Path, ...]) -> Copy | None:
    """The first copy in the order of the roots, sound or not: a damaged one is to be repaired, not passed over."""
    for root in roots:
        for layout in LAYOUTS[name]:
            if layout.holds(root / layout.place):
                return Copy(folder=root / layout.place, layout=layout)
    return None


def _image_folder(name: str) -> Layout:
    return Layout(
        place=name,
        pattern=f"{name}/{{train,test}}/<class>/*.png or *.jpg",
        holds=image_folder.holds,
        check_quickly=partial(image_folder.check_quickly, DATASETS[name]),
        read=partial(image_folder.read, DATASETS[name]),
    )


def _idx(folder: str, names: str, dataset: idx.IdxSet) -> Layout:
    return Layout(
        place=f"{folder}/raw",
        pattern=f"{folder}/raw/{names}-{{images-idx3,labels-idx1}}-ubyte (or .gz)",
        holds=partial(idx.holds, dataset=dataset),
        check_quickly=partial(idx.check_quickly, dataset=dataset),
        read=partial(idx.read, dataset=dataset),
    )


MNIST_IDX = _idx("MNIST", "{train,t10k}", idx.MNIST)
CIFAR10_BATCHES = Layout(
    place="cifar-10-batches-py",
    pattern="cifar-10-batches-py/{data_batch_1,...,data_batch_5,test_batch}",
    holds=cifar_batches.holds,
    check_quickly=cifar_batches.check_quickly,
    read=cifar_batches.read,
)

# The layout that torchvision downloads comes first: it holds the published pixels.
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "mnist": (MNIST_IDX, _image_folder("mnist")),
    "cifar10": (CIFAR10_BATCHES, _image_folder("cifar10")),
    "fashion-mnist": (_idx("FashionMNIST", "{train,t10k}", idx.FASHION_MNIST),),
    "kmnist": (_idx("KMNIST", "{train,t10k}", idx.KMNIST),),
    "emnist-digits": (_idx("EMNIST", "emnist-digits-{train,test}", idx.EMNIST_DIGITS),),
}
