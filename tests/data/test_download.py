import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from hw2tune.data import layouts
from hw2tune.data.layouts import ARCHIVES
from hw2tune.data.load import fetch_dataset, load_dataset
from hw2tune.errors import DataError

MNIST_FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


def serve_mnist(mirror, root):
    for name in MNIST_FILES:
        content = (root / "MNIST/raw" / name.removesuffix(".gz")).read_bytes()
        (mirror.folder / name).write_bytes(gzip.compress(content, compresslevel=1))


def message(name, root):
    with pytest.raises(DataError) as error:
        fetch_dataset(name, data_dir=root)
    return str(error.value)


def left_in(root):
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


def test_a_mirror_that_is_down_is_told_at_once_with_the_ways_out(tmp_path):
    said = message("mnist", tmp_path / "data")
    assert "and downloading it failed (http://127.0.0.1:1/: Connection refused). Put the files" in said
    assert said.endswith("or connect to the internet and run `hw2tune data fetch mnist`.")
    assert left_in(tmp_path / "data") == []


def test_a_mirror_without_the_file_is_told(mirror, tmp_path):
    said = message("cifar10", tmp_path / "data")
    assert f"downloading it failed ({mirror.url}: 404 Client Error: File not found for url: " in said


def test_an_address_that_is_none_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2TUNE_MIRROR", "nonsense")
    assert "downloading it failed (nonsense/: Invalid URL" in message("mnist", tmp_path)


def test_no_folder_to_write_to_is_told(monkeypatch, tmp_path, cache):
    cache.touch()
    assert "and none of these folders can be written to. Put the files" in message("mnist", Path("/proc/below"))


@pytest.mark.real_data
def test_mnist_is_downloaded_once_verified_and_found_again(mirror, real_data_dir, real_mnist, tmp_path):
    serve_mnist(mirror, real_data_dir)
    root = tmp_path / "data"
    data = load_dataset("mnist", data_dir=root)
    assert data.checksum == real_mnist.checksum
    assert data.source == str(root / "MNIST/raw")
    assert left_in(root) == ["MNIST"]
    assert sorted(path.name for path in (root / "MNIST/raw").iterdir()) == sorted(n[:-3] for n in MNIST_FILES)
    asked = len(mirror.requests)
    assert load_dataset("mnist", data_dir=root).checksum == data.checksum
    assert len(mirror.requests) == asked


@pytest.mark.real_data
def test_the_first_root_that_can_be_written_gets_the_download(mirror, real_data_dir, tmp_path, cache):
    serve_mnist(mirror, real_data_dir)
    assert fetch_dataset("mnist", data_dir=Path("/proc/below")) == cache / "data/MNIST/raw"


@pytest.mark.real_data
@pytest.mark.parametrize("damage", ["cut", "other", "page", "missing"])
def test_a_download_that_fails_is_told_and_leaves_nothing(mirror, real_data_dir, tmp_path, damage):
    serve_mnist(mirror, real_data_dir)
    last = mirror.folder / MNIST_FILES[-1]
    content = {"cut": last.read_bytes()[:-100], "other": gzip.compress(bytes(10_008)), "page": b"<html>moved</html>"}
    last.write_bytes(content[damage]) if damage in content else last.unlink()
    root = tmp_path / "data"
    said = message("mnist", root)
    why = {
        "cut": "Compressed file ended before the end-of-stream marker was reached",
        "other": "sent something else: ",
        "page": "Not a gzipped file",
        "missing": "404 Client Error",
    }
    assert f"and downloading it failed ({mirror.url}" in said and why[damage] in said
    assert left_in(root) == []


@pytest.mark.real_data
def test_an_archive_that_is_not_cifar10_is_not_even_unpacked(mirror, real_data_dir, tmp_path):
    (mirror.folder / "cifar-10-python.tar.gz").write_bytes(b"no archive")
    said = message("cifar10", tmp_path / "data")
    assert "does not match the known hash: expected md5:c58f30108f718f92721af3b95e74349a" in said
    assert left_in(tmp_path / "data") == []


def test_a_second_process_waits_for_the_first_and_takes_its_download(image_folder, tmp_path):
    root = tmp_path / "target"
    root.mkdir()
    code = (
        "import sys, pathlib; from hw2tune.data.load import fetch_dataset;"
        "print(fetch_dataset('mnist', data_dir=pathlib.Path(sys.argv[1]), progress=lambda *c: print(*c, flush=True)))"
    )
    with filelock.FileLock(root / ".hw2tune-mnist.lock"):
        second = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
        assert second.stdout.readline() == "waiting for another process that fetches MNIST 0 1\n"
        (image_folder("mnist") / "mnist").rename(root / "mnist")
        assert second.poll() is None
    said, _ = second.communicate(timeout=20)
    assert second.returncode == 0
    assert Path(said.splitlines()[-1]) == root / "mnist"


@pytest.mark.real_data  # for its torchvision, which takes seconds
def test_addresses_and_sums_are_those_of_torchvision(real_data_dir):
    from torchvision.datasets import CIFAR10, MNIST

    assert list(ARCHIVES["mnist"].mirrors) == MNIST.mirrors
    assert list(ARCHIVES["mnist"].md5_of) == [name for name, _ in MNIST.resources]
    assert ARCHIVES["cifar10"].mirrors[0] + CIFAR10.filename == CIFAR10.url
    assert ARCHIVES["cifar10"].md5_of == {CIFAR10.filename: CIFAR10.tgz_md5}
    assert dict(CIFAR10.train_list + CIFAR10.test_list) == {**layouts.TRAIN_MD5, **layouts.TEST_MD5}
    assert layouts.CifarBatches.place == CIFAR10.base_folder


def test_a_zipped_file_that_unpacks_to_more_than_the_published_one_is_given_up(mirror, tmp_path):
    """Before its digest could be asked it had filled the disk."""
    for name in MNIST_FILES:
        (mirror.folder / name).write_bytes(gzip.compress(bytes(50_000_000), compresslevel=1))
    assert (
        f"downloading it failed ({mirror.url}: train-images-idx3-ubyte.gz unpacks to more than 47,040,016 bytes)"
        in message("mnist", tmp_path / "data")
    )
    assert left_in(tmp_path / "data") == []


def test_a_download_without_end_is_given_up(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr("hw2tune.data.download.LARGEST", 1_000)
    (mirror.folder / MNIST_FILES[0]).write_bytes(bytes(5_000))
    assert f"downloading it failed ({mirror.url}: more than 1,000 bytes)" in message("mnist", tmp_path / "data")
    assert left_in(tmp_path / "data") == []


def test_a_download_that_a_kill_left_half_moved_is_moved_by_the_next_command(mirror, fake_mnist, tmp_path):
    """The folder was there: files were moved one by one, and the copy of two of four refused for good."""
    root = tmp_path / "root"
    (root / "MNIST/raw").mkdir(parents=True)
    (root / "MNIST/raw/notes.txt").write_text("mine")
    ready = shutil.copytree(fake_mnist / "MNIST/raw", root / ".hw2tune-mnist-ready")
    for name in MNIST_FILES[:2]:
        (ready / name[:-3]).rename(root / "MNIST/raw" / name[:-3])
    assert "expected the published MNIST" in message("mnist", root)  # complete; but these images are black
    assert sorted(path.name for path in (root / "MNIST/raw").iterdir()) == sorted(
        [*(name[:-3] for name in MNIST_FILES), "notes.txt"]
    )
    assert left_in(root) == ["MNIST"] and mirror.requests == []
