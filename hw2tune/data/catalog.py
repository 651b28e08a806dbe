"""The data sets that hw2tune knows, as facts.

Light on purpose, without numpy: checking a study file and `--help` import this.
"""

from dataclasses import dataclass

from hw2tune.errors import DataError


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is published about one data set; sizes count images."""

    name: str  # as study files and the command line say it
    title: str  # as reports say it
    classes: tuple[str, ...]  # the label k means classes[k]
    image_shape: tuple[int, int, int]  # height, width, channels
    trainval_size: int  # training and validation images together
    test_size: int
    mean: tuple[float, ...]  # per channel, subtracted from pixels scaled to [0, 1]
    std: tuple[float, ...]  # per channel, then divided by
    default_validation_size: int
    synthetic: bool = False


DIGITS = tuple("0123456789")

# Order of the labels: https://www.cs.toronto.edu/~kriz/cifar.html (batches.meta).
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# https://github.com/zalandoresearch/fashion-mnist and https://github.com/rois-codh/kmnist
FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
KMNIST_CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

_ALL = (
    DatasetInfo(
        name="mnist",
        title="MNIST",
        classes=DIGITS,
        image_shape=(28, 28, 1),
        trainval_size=60_000,
        test_size=10_000,
        mean=(0.0,),  # the published runs scale the pixels and do no more
        std=(1.0,),
        default_validation_size=5_000,
    ),
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        classes=CIFAR10_CLASSES,
        image_shape=(32, 32, 3),
        trainval_size=50_000,
        test_size=10_000,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        default_validation_size=5_000,
    ),
    *(
        DatasetInfo(
            name=name,
            title=title,
            classes=classes,
            image_shape=(28, 28, 1),
            trainval_size=trainval,
            test_size=test,
            mean=(mean,),
            std=(std,),
            default_validation_size=5_000,
        )
        for name, title, classes, trainval, test, mean, std in (
            ("fashion-mnist", "Fashion-MNIST", FASHION_CLASSES, 60_000, 10_000, 0.2860, 0.3530),
            ("kmnist", "KMNIST", KMNIST_CLASSES, 60_000, 10_000, 0.1918, 0.3483),
            ("emnist-digits", "EMNIST digits", DIGITS, 240_000, 40_000, 0.1722, 0.3309),
        )
    ),
    DatasetInfo(
        name="digits",
        title="digits (1,797 images of scikit-learn)",
        classes=DIGITS,
        image_shape=(8, 8, 1),
        trainval_size=1_437,
        test_size=360,
        mean=(0.3049,),
        std=(0.3748,),
        default_validation_size=200,
    ),
    DatasetInfo(
        name="mnist-5k",
        title="MNIST-5k (5,000 images of MNIST)",
        classes=DIGITS,
        image_shape=(28, 28, 1),
        trainval_size=4_500,
        test_size=500,
        mean=(0.0,),
        std=(1.0,),
        default_validation_size=500,
    ),
    DatasetInfo(
        name="synthetic-mnist",
        title="synthetic (28x28x1)",
        classes=DIGITS,
        image_shape=(28, 28, 1),
        trainval_size=600,
        test_size=200,
        mean=(0.0,),
        std=(1.0,),
        default_validation_size=100,
        synthetic=True,
    ),
    DatasetInfo(
        name="synthetic-cifar10",
        title="synthetic (32x32x3)",
        classes=CIFAR10_CLASSES,
        image_shape=(32, 32, 3),
        trainval_size=600,
        test_size=200,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        default_validation_size=100,
        synthetic=True,
    ),
)

DATASETS: dict[str, DatasetInfo] = {info.name: info for info in _ALL}


def dataset_info(name: str) -> DatasetInfo:
    """The facts about the data set `name`; DataError lists the names where there is none."""
    if name in DATASETS:
        return DATASETS[name]
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), DATASETS, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    raise DataError(f"unknown data set '{name}'{hint} The data sets are {', '.join(DATASETS)}.")
