"""Decoded images: one copy per folder, and files that changed without a trace are found when they are looked for."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.data import decoding
from hw2tune.data.load import load_dataset, verify_datasets
from hw2tune.data.own import OwnOptions


@pytest.fixture
def imgs(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "imgs" / name).mkdir(parents=True)
        for n in range(6):
            write(tmp_path / "imgs" / name / f"{n}.bmp", random.integers(0, 255, (8, 8)))
    return tmp_path / "imgs"


def write(path, pixels):
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def load(folder, **options):
    return load_dataset(str(folder), own=OwnOptions(test_share=0.3, **options), validation_size=2)


def change_in_silence(path):
    """Another pixel; size and time of the file stay."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def of_folders():
    return [status for status in verify_datasets() if status.title.endswith("decoded images")]


def test_a_newer_copy_of_a_folder_replaces_the_older_one(imgs):
    for _ in range(3):
        load(imgs)
        for path in imgs.glob("*/*.bmp"):
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    assert len(decoding.cached_files()) == 1
    load(imgs, resize=(4, 4))
    assert len(decoding.cached_files()) == 2  # two studies that differ in it do not take turns


def test_a_file_changed_in_silence_is_found_by_verify_and_decoded_again(imgs):
    before = load(imgs)
    assert [status.problem for status in of_folders()] == [None]
    change_in_silence(imgs / "b" / "3.bmp")
    assert load(imgs).checksum == before.checksum  # no file is read at every start
    (status,) = of_folders()
    assert (status.name, status.title, status.source) == ("imgs", "12 decoded images", str(imgs))
    assert status.problem == (
        f"{imgs}: 1 of 12 files are gone or changed since they were decoded (b/3.bmp); the next command decodes them "
        "again"
    )
    assert of_folders() == []
    assert load(imgs).checksum != before.checksum


def test_verify_ends_with_1_where_something_is_wrong(imgs):
    load(imgs)
    assert CliRunner().invoke(app, ["data", "--verify"]).exit_code == 0
    (imgs / "a" / "0.bmp").unlink()
    shown = CliRunner().invoke(app, ["data", "--verify", "--json"])
    problems = [row["problem"] for row in json.loads(shown.stdout) if row["problem"]]
    assert shown.exit_code == 1
    assert len(problems) == 1 and "(a/0.bmp)" in problems[0]


def test_verify_reads_published_data_sets_to_the_last_byte(fake_mnist):
    """Its files have the right lengths and wrong pixels, which a glance does not see."""
    found = {status.name: status.problem for status in verify_datasets(data_dir=fake_mnist)}
    assert found["digits"] is found["mnist-5k"] is None
    assert "expected the published MNIST with md5" in found["mnist"]


def test_one_folder_read_as_a_published_set_and_as_ones_own_has_a_copy_for_each(tmp_path):
    """Colour files in a folder of MNIST: one channel for the published set, three for an own one."""
    for part, count in (("train", 3), ("test", 2)):
        for digit in range(10):
            (tmp_path / "mnist" / part / str(digit)).mkdir(parents=True)
            for n in range(count):
                pixels = np.random.default_rng(n + 10 * digit + 1000 * (part == "test")).integers(0, 255, (28, 28, 3))
                write(tmp_path / "mnist" / part / str(digit) / f"{n}.png", pixels)
    published = load_dataset("mnist", data_dir=tmp_path, validation_size=10)
    own = load_dataset(str(tmp_path / "mnist"), own=OwnOptions(), validation_size=10)
    assert (published.train.images.shape[3], own.train.images.shape[3]) == (1, 3)
