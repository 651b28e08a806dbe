import numpy as np
import pytest

from hw2tune.data.dataset import fingerprint
from hw2tune.data.load import load_dataset

NAMES = ["synthetic-mnist", "synthetic-cifar10"]


@pytest.mark.parametrize(("name", "shape"), [("synthetic-mnist", (28, 28, 1)), ("synthetic-cifar10", (32, 32, 3))])
def test_three_splits_of_uint8_images(name, shape):
    data = load_dataset(name)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [500, 100, 200]
    for split in (data.train, data.validation, data.test):
        assert split.images.shape == (len(split), *shape)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.flags.c_contiguous
        assert np.bincount(split.labels).tolist() == [len(split) // 10] * 10


@pytest.mark.parametrize("name", NAMES)
def test_it_is_called_synthetic(name):
    data = load_dataset(name)
    assert data.label == "synthetic"
    assert "synthetic" in data.source


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_every_time(name):
    assert load_dataset(name).checksum == load_dataset(name).checksum


@pytest.mark.parametrize("name", NAMES)
def test_the_nearest_class_mean_tells_the_classes_apart_so_that_a_network_can_learn_them(name):
    data = load_dataset(name)
    flat = {
        split: getattr(data, split).images.reshape(len(getattr(data, split)), -1) / 255 for split in ("train", "test")
    }
    means = np.stack([flat["train"][data.train.labels == k].mean(axis=0) for k in range(10)])
    nearest = ((flat["test"][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == data.test.labels).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_no_two_splits_share_an_image(name):
    data = load_dataset(name)
    train, validation, test = (fingerprint(split) for split in (data.train, data.validation, data.test))
    assert (len(train), len(validation), len(test)) == (500, 100, 200)
    assert not (train & validation or train & test or validation & test)
