import hashlib

import numpy as np

from hw2tune.data.dataset import Split, checksum, fingerprint
from hw2tune.data.load import load_dataset


def split_of(*greys):
    images = np.stack([np.full((2, 2, 1), grey, np.uint8) for grey in greys])
    return Split(images=images, labels=np.zeros(len(greys), np.int64))


def test_fingerprints_meet_in_the_images_that_two_splits_share():
    assert len(fingerprint(split_of(1, 2, 3)) & fingerprint(split_of(3, 4))) == 1
    assert not fingerprint(split_of(1, 2)) & fingerprint(split_of(3, 4))


def test_an_image_is_the_same_image_under_another_label():
    relabelled = Split(images=split_of(1).images, labels=np.array([7]))
    assert fingerprint(relabelled) == fingerprint(split_of(1))


def test_an_empty_split_has_an_empty_fingerprint():
    assert fingerprint(load_dataset("synthetic-mnist", validation_size=0).validation) == frozenset()


def test_sixty_thousand_images_have_as_many_fingerprints():
    images = np.zeros((60_000, 32, 32, 3), np.uint8)
    images[:, 0, 0, :2] = np.arange(60_000, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    assert len(fingerprint(Split(images=images, labels=np.zeros(60_000, np.int64)))) == 60_000


def test_a_checksum_is_sha256_over_shape_and_bytes():
    expected = hashlib.sha256(b"(2,)" + (1).to_bytes(8, "little") + (2).to_bytes(8, "little")).hexdigest()
    assert checksum(np.array([1, 2])) == f"sha256:{expected}"


def test_the_checksum_is_of_the_data_and_not_of_the_split():
    one = load_dataset("synthetic-mnist", split_seed=0)
    two = load_dataset("synthetic-mnist", split_seed=1, validation_size=50)
    assert one.checksum == two.checksum
    assert one.split_checksum != two.split_checksum
    assert (two.split_seed, len(two.validation), len(two.train)) == (1, 50, 550)


def test_the_same_seed_gives_the_same_split():
    one, two = (load_dataset("synthetic-mnist", split_seed=5) for _ in range(2))
    assert one.split_checksum == two.split_checksum
    assert (one.validation.images == two.validation.images).all()


def test_train_and_validation_make_up_the_pool():
    everything = load_dataset("synthetic-mnist", validation_size=0)
    halves = load_dataset("synthetic-mnist", validation_size=300)
    assert len(everything.train) == 600
    assert len(everything.validation) == 0
    assert fingerprint(halves.train) | fingerprint(halves.validation) == fingerprint(everything.train)


def test_arrays_can_be_written_to():
    data = load_dataset("mnist-5k")
    assert all(split.images.flags.writeable for split in (data.train, data.validation, data.test))
