import gzip
import shutil
import struct

import numpy as np
import pytest

from hw2tune.data.dataset import fingerprint
from hw2tune.data.load import list_datasets, load_dataset
from hw2tune.errors import DataError

# Per class, from the four files with od and sort; also in LeCun's description of MNIST.
TRAIN_PER_CLASS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_PER_CLASS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
WAY_OUT = "Replace or remove it, or name another folder with --data-dir; a damaged copy is never used or passed over."


def message(root):
    with pytest.raises(DataError) as error:
        load_dataset("mnist", data_dir=root, download=False)
    return str(error.value)


def edit(file, change):
    content = bytearray(file.read_bytes())
    change(content)
    file.write_bytes(content)


@pytest.mark.real_data
def test_real_mnist_has_its_published_counts(real_mnist):
    assert [len(s) for s in (real_mnist.train, real_mnist.validation, real_mnist.test)] == [55_000, 5_000, 10_000]
    trainval = np.bincount(real_mnist.train.labels) + np.bincount(real_mnist.validation.labels)
    assert trainval.tolist() == TRAIN_PER_CLASS
    assert np.bincount(real_mnist.test.labels).tolist() == TEST_PER_CLASS
    assert real_mnist.label == "MNIST"


@pytest.mark.real_data
def test_real_mnist_validation_is_stratified(real_mnist):
    # 5,000/60,000 of each class: 493.58 561.83 496.5 510.92 486.83 451.75 493.17 522.08 487.58 495.75;
    # floors sum to 4,994, and the six largest remainders round up.
    assert np.bincount(real_mnist.validation.labels).tolist() == [494, 562, 496, 511, 487, 452, 493, 522, 487, 496]


@pytest.mark.real_data
def test_real_mnist_pixels_are_where_a_second_reader_finds_them(real_data_dir, real_mnist):
    with (real_data_dir / "MNIST/raw/t10k-images-idx3-ubyte").open("rb") as file:
        file.seek(16 + 784 * 1234)
        assert file.read(784) == real_mnist.test.images[1234].tobytes()
    with (real_data_dir / "MNIST/raw/t10k-labels-idx1-ubyte").open("rb") as file:
        file.seek(8 + 1234)
        assert file.read(1)[0] == real_mnist.test.labels[1234]


@pytest.mark.real_data
def test_no_image_of_real_mnist_is_in_two_splits(real_mnist):
    prints = [fingerprint(split) for split in (real_mnist.train, real_mnist.validation, real_mnist.test)]
    assert len(frozenset().union(*prints)) == 70_000


@pytest.mark.real_data
def test_gzipped_files_give_the_same_data(real_data_dir, real_mnist, tmp_path):
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    for file in (real_data_dir / "MNIST/raw").glob("*-ubyte"):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), compresslevel=1))
    assert load_dataset("mnist", data_dir=tmp_path, download=False).checksum == real_mnist.checksum


@pytest.mark.real_data
def test_one_changed_pixel_is_refused(real_data_dir, tmp_path):
    shutil.copytree(real_data_dir / "MNIST", tmp_path / "MNIST")
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    edit(file, lambda content: content.__setitem__(5_000_000, content[5_000_000] ^ 1))
    assert message(tmp_path).startswith(
        f"{file}: expected the published MNIST with md5 6bbc9ace898e44ae57da46a324031adb, but found md5 "
    )


def test_files_of_the_right_shape_that_are_not_mnist_are_refused(fake_mnist):
    file = fake_mnist / "MNIST/raw/train-images-idx3-ubyte"
    said = message(fake_mnist)
    assert said.startswith(
        f"{file}: expected the published MNIST with md5 6bbc9ace898e44ae57da46a324031adb, but found md5"
    )
    assert said.endswith(WAY_OUT)


def test_a_wrong_magic_number_is_refused(fake_mnist):
    file = fake_mnist / "MNIST/raw/train-images-idx3-ubyte"
    edit(file, lambda content: struct.pack_into(">I", content, 0, 2049))
    assert message(fake_mnist) == f"{file}: expected magic number 0x00000803, but found 0x00000801. {WAY_OUT}"


def test_wrong_sizes_in_the_header_are_refused(fake_mnist):
    file = fake_mnist / "MNIST/raw/train-images-idx3-ubyte"
    edit(file, lambda content: struct.pack_into(">I", content, 8, 32))
    assert message(fake_mnist) == (
        f"{file}: expected sizes 60000 x 28 x 28 in its header, but found 60000 x 32 x 28. {WAY_OUT}"
    )


@pytest.mark.parametrize("length", [0, 15, 1_000_000])
def test_a_file_cut_short_is_refused(fake_mnist, length):
    file = fake_mnist / "MNIST/raw/train-images-idx3-ubyte"
    with file.open("r+b") as opened:
        opened.truncate(length)
    assert message(fake_mnist) == f"{file}: expected 47,040,016 bytes, but found {length:,}. {WAY_OUT}"


def test_a_gzip_file_cut_short_is_refused(fake_mnist):
    file = fake_mnist / "MNIST/raw/train-images-idx3-ubyte"
    zipped = file.with_name(f"{file.name}.gz")
    zipped.write_bytes(gzip.compress(file.read_bytes()[:1000])[:-9])
    file.unlink()
    assert message(fake_mnist).startswith(f"{zipped}: expected a complete gzip file, but found 'Compressed file ended")


def test_a_missing_file_is_named(fake_mnist):
    file = fake_mnist / "MNIST/raw/t10k-labels-idx1-ubyte"
    file.unlink()
    assert _problem(fake_mnist) == (
        f"{file}: this file (or t10k-labels-idx1-ubyte.gz) is missing, but others of MNIST are present. "
        "Add it, or remove the folder; an incomplete copy is never used or passed over."
    )


def test_a_glance_sees_a_wrong_length(fake_mnist):
    file = fake_mnist / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(b"short")
    assert _problem(fake_mnist) == f"{file}: expected 7,840,016 bytes, but found 5. {WAY_OUT}"


@pytest.mark.real_data
def test_a_label_beyond_nine_is_refused(real_data_dir, tmp_path):
    shutil.copytree(real_data_dir / "MNIST", tmp_path / "MNIST")
    file = tmp_path / "MNIST/raw/train-labels-idx1-ubyte"
    edit(file, lambda content: content.__setitem__(8 + 41_999, 12))
    assert message(tmp_path) == (f"{file}: expected labels from 0 to 9, but found 12 as label number 41,999. {WAY_OUT}")


def test_a_damaged_copy_is_not_passed_over_for_another_root(fake_mnist, monkeypatch, tmp_path):
    monkeypatch.setenv("HW2TUNE_DATA", str(tmp_path / "elsewhere"))
    assert str(fake_mnist) in message(fake_mnist)


def _problem(root):
    status = next(status for status in list_datasets(data_dir=root) if status.name == "mnist")
    assert status.found
    assert status.source == str(root / "MNIST/raw")
    return status.problem
