"""No test here sees the user's own data or cache; real data come in by name, and only where HW2TUNE_DATA was set."""

import gc
import http.server
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from hw2tune.data.dataset import Dataset
from hw2tune.data.load import load_dataset
from tests.data.small_image_folders import write_image_folder

REAL_DATA = os.environ.get("HW2TUNE_DATA")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("HW2TUNE_DATA", raising=False)
    monkeypatch.setenv("HW2TUNE_MIRROR", "http://127.0.0.1:1/")  # nobody listens: no test leaves this machine
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    if not REAL_DATA:
        pytest.skip("HW2TUNE_DATA is not set: it names the folder of the real data sets")
    return Path(REAL_DATA)


@pytest.fixture(scope="session")
def real_mnist(real_data_dir: Path) -> Dataset:
    return load_dataset("mnist", data_dir=real_data_dir, download=False)


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a small image folder and return the root: `per_class` training and one test image of each class."""
    return partial(write_image_folder, tmp_path / "data")


@pytest.fixture
def fake_mnist(tmp_path: Path) -> Path:
    """The root of four idx files in which all is right but the pixels: black images, labels 0 to 9 in turn."""
    folder = tmp_path / "data/MNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        images = struct.pack(">4I", 2051, count, 28, 28) + bytes(count * 784)
        labels = struct.pack(">2I", 2049, count) + bytes(n % 10 for n in range(count))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return tmp_path / "data"


class Mirror:
    """A web server on this machine; `requests` are the paths asked for, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        mirror = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.requests.append(self.path)
                super().do_GET()

            def copyfile(self, source, outputfile) -> None:
                with suppress(ConnectionError):  # the first question to a mirror hangs up when it is answered
                    super().copyfile(source, outputfile)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Mirror]:
    folder = tmp_path / "mirror"
    folder.mkdir()
    mirror = Mirror(folder)
    threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("HW2TUNE_MIRROR", mirror.url)
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
    with warnings.catch_warnings():
        # torchvision 0.29 leaves the answer of a failed download open, to be found by the collector in a later test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
