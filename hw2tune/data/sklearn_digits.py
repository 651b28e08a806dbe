"""The 1,797 images of digits, 8 x 8 pixels, that scikit-learn ships (from UCI's optical recognition of digits)."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hw2tune.data.catalog import DatasetInfo
from hw2tune.data.dataset import Split, Unsplit
from hw2tune.data.packaged import verified_text
from hw2tune.data.splits import stratified_indices
from hw2tune.errors import DataError

# sha256 of the unzipped text in scikit-learn 1.9: 1,797 lines of 64 pixels from 0 to 16 and the digit.
TEXT_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
LARGEST = 16  # of a pixel
TEST_SEED = 1_797  # of the test split: its own, so that no study's seed moves an image into or out of test


def shipped_file() -> Path:
    """Where scikit-learn keeps the images; found without importing it."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("digits: its images come with scikit-learn, which is missing: pip install scikit-learn.")
    file = Path(spec.submodule_search_locations[0]) / "datasets/data/digits.csv.gz"
    if not file.is_file():
        raise DataError(f"digits: {file} is missing: install scikit-learn anew (1.9 has the file).")
    return file


def read(info: DatasetInfo) -> Unsplit:
    """The images, scaled from 0..16 to 0..255, with a fixed stratified test split of `info.test_size`."""
    file = shipped_file()
    text = verified_text(file, TEXT_SHA256, zipped="scikit-learn's gzip file of digits", text="scikit-learn's text")
    rows = np.fromstring(text.replace("\n", ","), np.float64, sep=",").reshape(-1, 65)
    images = np.rint(rows[:, :-1] * (255 / LARGEST)).astype(np.uint8).reshape(-1, *info.image_shape)
    every = Split(images=images, labels=np.ascontiguousarray(rows[:, -1].astype(np.int64)))
    in_test = stratified_indices(every.labels, info.test_size, classes=len(info.classes), seed=TEST_SEED)
    others = np.setdiff1d(np.arange(len(every)), in_test)
    source = f"scikit-learn {version('scikit-learn')} ({file})"
    return Unsplit(label=info.title, source=source, trainval=every.take(others), test=every.take(in_test))
