"""Facts about the known data sets, without numpy: checking a study file and `--help` import this module."""

from dataclasses import dataclass
from pathlib import Path

from hw2tune.errors import DataError
from hw2tune.text.plain import nearest


@dataclass(frozen=True)
class DatasetInfo:
    """Published facts about a data set; sizes count images."""

    name: str  # in study files and on the command line
    title: str  # in reports
    classes: tuple[str, ...]  # the label k means classes[k]
    image_shape: tuple[int, int, int]  # height, width, channels
    trainval_size: int  # training and validation images together
    test_size: int
    default_validation_size: int
    mean: tuple[float, ...]  # per channel, subtracted from pixels scaled to [0, 1]
    std: tuple[float, ...]  # per channel, then divided by

    @property
    def synthetic(self) -> bool:  # asked of data sets of the catalog
        return self.name.startswith("synthetic-")


DIGITS = tuple("0123456789")

# Order of the labels: https://www.cs.toronto.edu/~kriz/cifar.html (batches.meta).
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# https://github.com/zalandoresearch/fashion-mnist and https://github.com/rois-codh/kmnist
FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
KMNIST_CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

# Name, title, classes, (height, width, channels), trainval, test and validation images; mean and standard deviation of
# each channel (0 and 1 for MNIST: the published runs scale the pixels and do no more).
_ROWS = (
    ("mnist", "MNIST", DIGITS, (28, 28, 1), 60_000, 10_000, 5_000, 0.0, 1.0),
    ("cifar10", "CIFAR-10", CIFAR10_CLASSES, (32, 32, 3), 50_000, 10_000, 5_000, 0.5, 0.5),
    ("fashion-mnist", "Fashion-MNIST", FASHION_CLASSES, (28, 28, 1), 60_000, 10_000, 5_000, 0.2860, 0.3530),
    ("kmnist", "KMNIST", KMNIST_CLASSES, (28, 28, 1), 60_000, 10_000, 5_000, 0.1918, 0.3483),
    ("emnist-digits", "EMNIST digits", DIGITS, (28, 28, 1), 240_000, 40_000, 5_000, 0.1722, 0.3309),
    ("digits", "digits (1,797 images of scikit-learn)", DIGITS, (8, 8, 1), 1_437, 360, 200, 0.3049, 0.3748),
    ("mnist-5k", "MNIST-5k (5,000 images of MNIST)", DIGITS, (28, 28, 1), 4_500, 500, 500, 0.0, 1.0),
    ("synthetic-mnist", "synthetic (28x28x1)", DIGITS, (28, 28, 1), 600, 200, 100, 0.0, 1.0),
    ("synthetic-cifar10", "synthetic (32x32x3)", CIFAR10_CLASSES, (32, 32, 3), 600, 200, 100, 0.5, 0.5),
)

DATASETS: dict[str, DatasetInfo] = {
    name: DatasetInfo(name, title, classes, shape, trainval, test, validation, (mean,) * shape[2], (std,) * shape[2])
    for name, title, classes, shape, trainval, test, validation, mean, std in _ROWS
}


def dataset_info(name: str) -> DatasetInfo:
    """Return the facts about the data set `name`. Raises DataError with the known names."""
    if name in DATASETS:
        return DATASETS[name]
    close = nearest(name.lower(), DATASETS)
    hint = f"; did you mean '{close}'?" if close else "."
    raise DataError(f"unknown data set '{name}'{hint} The data sets are {', '.join(DATASETS)}.")


def incomplete(path: Path, title: str, alternative: str = "") -> DataError:
    """Return the error for a missing file of a published data set next to others of the set."""
    return DataError(
        f"{path}: this file{alternative and f' (or {alternative})'} is missing, but others of {title} are present. "
        "Add it, or remove the folder; an incomplete copy is never used or passed over."
    )


def damaged(place: Path | str, *, expected: str, found: str) -> DataError:
    """Return the error for a damaged file or folder of a published data set; no other copy is read in its place."""
    return DataError(
        f"{place}: expected {expected}, but found {found}. "
        "Replace or remove it, or name another folder with --data-dir; a damaged copy is never used or passed over."
    )
