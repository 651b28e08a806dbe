import hashlib
import pickle

import numpy as np
import pytest

from hw2tune.data import layouts
from hw2tune.data.load import list_datasets, load_dataset
from hw2tune.errors import DataError

NAMES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


class Bomb:
    """Unpickling this would raise ZeroDivisionError."""

    def __reduce__(self):
        return divmod, (1, 0)


def write(folder, content):
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def test_a_batch_that_is_not_the_published_one_is_refused_and_never_unpickled(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write(folder, Bomb())
    with pytest.raises(DataError) as error:
        load_dataset("cifar10", data_dir=tmp_path, download=False)
    md5 = hashlib.md5((folder / "data_batch_1").read_bytes()).hexdigest()
    assert str(error.value).startswith(
        f"{folder}/data_batch_1: expected the published CIFAR-10 with md5 c99cafc152244af753f735de768cd75f, "
        f"but found md5 {md5}, so not unpickled. "
    )


def test_a_missing_batch_is_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write(folder, Bomb())
    (folder / "data_batch_4").unlink()
    problem = next(status.problem for status in list_datasets(data_dir=tmp_path) if status.name == "cifar10")
    assert problem == (
        f"{folder}/data_batch_4: this file is missing, but others of CIFAR-10 are present. "
        "Add it, or remove the folder; an incomplete copy is never used or passed over."
    )


def test_rows_of_red_green_and_blue_planes_become_images(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    blob = pickle.dumps({b"data": planes, b"labels": [3, 1, 4, 1]}, protocol=2)
    (tmp_path / "a_batch").write_bytes(blob)
    split = layouts.read_batches(tmp_path, {"a_batch": hashlib.md5(blob).hexdigest()})
    assert split.labels.tolist() == [3, 1, 4, 1]
    # https://www.cs.toronto.edu/~kriz/cifar.html: 1,024 red, then green, then blue values, in rows.
    for image, row, column, channel in [(0, 0, 0, 0), (2, 5, 7, 1), (3, 31, 30, 2)]:
        assert split.images[image, row, column, channel] == planes[image, 1024 * channel + 32 * row + column]
