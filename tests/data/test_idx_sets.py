"""Data sets made like MNIST: in torchvision's folders, known by their zipped digests or by their form."""

import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from hw2tune.data import idx
from hw2tune.data.layouts import ARCHIVES, LAYOUTS
from hw2tune.data.load import fetch_dataset, load_dataset
from hw2tune.errors import DataError


def content(file: idx.IdxFile, random) -> bytes:
    sizes = (file.count, idx.SIDE, idx.SIDE)[: file.dimensions]
    pixels = random.integers(0, 255 if file.dimensions == 3 else 10, sizes).astype(np.uint8)
    return struct.pack(f">{1 + file.dimensions}I", idx.MAGIC[file.dimensions], *sizes) + pixels.tobytes()


def made(folder, *, zipped: bool = False, transposed: bool = False) -> idx.IdxSet:
    """Four small files, and the set that describes them."""
    random, files = np.random.default_rng(0), []
    for name, count, dimensions in (("a-images", 12, 3), ("a-labels", 12, 1), ("b-images", 4, 3), ("b-labels", 4, 1)):
        file = idx.IdxFile(name=name, count=count, dimensions=dimensions)
        raw = content(file, random)
        if zipped:
            raw = gzip.compress(raw)
            file = idx.IdxFile(name=name, count=count, dimensions=dimensions, zipped_md5=hashlib.md5(raw).hexdigest())
        (folder / f"{name}{'.gz' if zipped else ''}").write_bytes(raw)
        files.append(file)
    return idx.IdxSet(title="Clothes", files=tuple(files), transposed=transposed)


def test_zipped_files_are_known_by_their_digest(tmp_path):
    clothes = made(tmp_path, zipped=True)
    data = clothes.read(tmp_path)
    assert (data.label, data.trainval.images.shape, len(data.test)) == ("Clothes", (12, 28, 28, 1), 4)
    assert data.notes == ()
    (tmp_path / "b-labels.gz").write_bytes(gzip.compress(content(clothes.files[3], np.random.default_rng(9))))
    with pytest.raises(DataError, match=r"b-labels.gz.*the published Clothes with md5"):
        clothes.read(tmp_path)


def test_plain_files_without_a_known_digest_are_known_by_their_form(tmp_path):
    clothes = made(tmp_path)
    plain, turned = clothes.read(tmp_path), made(tmp_path, transposed=True).read(tmp_path)
    assert plain.notes == (
        "of a-images, a-labels, b-images, b-labels only the form was checked: unzipped, Clothes has no published "
        "checksum",
    )
    np.testing.assert_array_equal(plain.trainval.images.transpose(0, 2, 1, 3), turned.trainval.images)
    (tmp_path / "a-labels").write_bytes((tmp_path / "a-labels").read_bytes()[:-1] + b"\x63")
    with pytest.raises(DataError, match=r"a-labels.*labels from 0 to 9.*99 as label number 11"):
        clothes.read(tmp_path)


def test_noise_in_the_form_of_fashion_mnist_is_not_fashion_mnist(fake_mnist):
    (fake_mnist / "MNIST").rename(fake_mnist / "FashionMNIST")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: expected the published Fashion-MNIST with md5 f4a8"):
        load_dataset("fashion-mnist", data_dir=fake_mnist)


def test_a_flipped_bit_of_a_downloaded_set_is_found_where_only_zipped_digests_are_published(
    mirror, monkeypatch, tmp_path
):
    kmnist = made(mirror.folder, zipped=True)
    monkeypatch.setitem(LAYOUTS, "kmnist", (replace(kmnist, folder="KMNIST"),))
    sums = {f"{file.name}.gz": file.zipped_md5 for file in kmnist.files}
    monkeypatch.setitem(ARCHIVES, "kmnist", replace(ARCHIVES["kmnist"], md5_of=sums))
    folder, random = fetch_dataset("kmnist", data_dir=tmp_path / "data"), np.random.default_rng(0)
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        for place in random.integers(0, len(content), 12):
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.integers(0, 8)
            file.write_bytes(flipped)
            with pytest.raises(DataError, match=file.name):
                fetch_dataset("kmnist", data_dir=tmp_path / "data")
        file.write_bytes(content)
    assert fetch_dataset("kmnist", data_dir=tmp_path / "data") == folder


def test_each_published_set_has_torchvisions_folder():
    assert {name: layouts[0].place for name, layouts in LAYOUTS.items()} == {
        "mnist": "MNIST/raw", "cifar10": "cifar-10-batches-py", "fashion-mnist": "FashionMNIST/raw",
        "kmnist": "KMNIST/raw", "emnist-digits": "EMNIST/raw",
    }  # fmt: skip
    assert idx.EMNIST_DIGITS.files[0].name == "emnist-digits-train-images-idx3-ubyte"
