"""Images that do not fit into shared memory, and test images that a study file lets stand in the training."""

import numpy as np
import pytest
from PIL import Image

from hw2tune.data import dataset, decoding
from hw2tune.data.load import load_dataset
from hw2tune.errors import DataError, ResourceError
from hw2tune.events import Listeners
from hw2tune.execution.preflight import preflight
from hw2tune.execution.request import load_for
from hw2tune.records.layout import StudyFolder
from hw2tune.study.file import find_study, parse_study

STUDY = """
name = "mine"
dataset = "./pictures"
model = "mnist_cnn"
max_epochs = 1
validation_size = 0.2
space = { learning_rate = 0.1, batch_size = 8, optimizer = "sgd" }
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for part, count in (("train", 10), ("test", 4)):
        for name in ("a", "b"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for n in range(count):
                Image.fromarray(random.integers(0, 255, (8, 8)).astype(np.uint8)).save(folder / f"{n}.png")
    return tmp_path


def load(place, more: str = ""):
    return load_for(parse_study(more + STUDY, str(place / "mine.toml")), None, Listeners())


def test_images_larger_than_shared_memory_are_refused_with_both_sizes(tmp_path, monkeypatch):
    study = parse_study(*find_study("quickstart"))
    data = load_dataset("mnist-5k", validation_size=500)
    assert preflight(study, StudyFolder(tmp_path / "quickstart"), [], data=data).parameters == 21_840
    monkeypatch.setattr(dataset, "OBJECT_STORE_SHARE", 0.0)
    with pytest.raises(ResourceError) as refused:
        preflight(study, StudyFolder(tmp_path / "quickstart"), [], data=data)
    assert str(refused.value) == (
        "MNIST-5k (5,000 images of MNIST): the images take 4 MB of shared memory, and 0 MB are there (/dev/shm and "
        "0% of the memory); make them smaller (resize in the study file), or give more (a container's --shm-size)"
    )


def test_a_folder_of_images_too_large_for_shared_memory_is_refused_before_one_is_decoded(place, monkeypatch):
    def read_pixels(path, *options):
        raise AssertionError(f"{path} was decoded")

    monkeypatch.setattr(dataset, "OBJECT_STORE_SHARE", 0.0)
    monkeypatch.setattr(decoding, "read_pixels", read_pixels)
    with pytest.raises(ResourceError) as refused:
        load(place, "resize = [500, 1000]\n")
    assert str(refused.value) == (
        f"{place}/pictures: the images take 14 MB of shared memory, and 0 MB are there (/dev/shm and 0% of the "
        "memory); make them smaller (resize in the study file), or give more (a container's --shm-size)"
    )
    monkeypatch.undo()
    assert len(load(place, "resize = [4, 4]\n").train) == 16


def test_test_images_among_the_training_images_pass_with_a_reason_that_is_their_caveat(place):
    image = (place / "pictures" / "train" / "a" / "3.png").read_bytes()
    (place / "pictures" / "test" / "a" / "0.png").write_bytes(image)
    with pytest.raises(DataError, match=r"1 images are in both (train|validation) and test"):
        load(place)
    data = load(place, 'allow_overlap = "the camera took it twice"\n')
    assert data.caveat == "1 test images are training or validation images too (the camera took it twice)"
    (place / "pictures" / "test" / "a" / "0.png").unlink()
    assert load(place, 'allow_overlap = "no need"\n').caveat == ""


def test_training_images_among_the_validation_images_are_in_the_caveat_too(tmp_path):
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype('uint8')\n"
        "    part = lambda *places: (images[list(places)], np.array(places) % 2)\n"
        "    test = part(2, 2, 45, *range(50, 60))\n"
        "    return {'train': part(*range(40)), 'validation': part(*range(37, 50)), 'test': test, 'classes': 'ab'}\n"
    )
    study = ('allow_overlap = "bought so"\n' + STUDY).replace("./pictures", "data.py:load")
    data = load_for(parse_study(study, str(tmp_path / "mine.toml")), None, Listeners())
    assert data.caveat == (
        "3 test images are training or validation images too, and 3 validation images are training images too "
        "(bought so)"
    )
