"""The split guard."""

import re
import shutil
from dataclasses import replace

import pytest

from hw2tune.data.dataset import Split
from hw2tune.data.load import load_dataset
from hw2tune.data.splits import overlap, refuse_overlap
from hw2tune.errors import DataError
from tests.data.small_image_folders import write_image_folder

DATA = load_dataset("synthetic-mnist", validation_size=100)


def test_the_splits_of_a_data_set_share_no_image():
    refuse_overlap(DATA)
    assert overlap(DATA.train, DATA.test) == 0


def test_a_test_split_with_training_images_is_refused_with_their_number():
    leaked = DATA.train.take(DATA.train.labels.argsort()[:7])
    with pytest.raises(DataError) as refusal:
        refuse_overlap(replace(DATA, test=leaked, source="somewhere"))
    assert str(refusal.value) == (
        "somewhere: 7 images are in both train and test, so accuracy on test would not measure unseen images. "
        "Remove the copies from one of the two."
    )


def test_an_evaluation_on_the_training_images_overlaps_wholly():
    same = Split(images=DATA.train.images.copy(), labels=DATA.train.labels.copy())
    assert overlap(DATA.train, same) == len(DATA.train)


def test_a_file_copied_from_train_to_test_is_named_with_its_twin(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    folder = write_image_folder(tmp_path, per_class=4) / "cifar10"
    for n in range(4):
        shutil.copy(folder / f"train/cat/{n:04}.png", folder / f"test/cat/copy{n}.png")
    data = load_dataset("cifar10", data_dir=tmp_path, validation_size=10)
    with pytest.raises(DataError) as refusal:
        refuse_overlap(replace(data, train=data.train, test=data.test))
    text = str(refusal.value)
    assert text.startswith(f"{folder}: ") and "images are in both train and test (train/cat/000" in text
    assert re.search(r"train/cat/(\d{4})\.png = test/cat/copy", text)
    assert text.endswith("Remove the copies from one of the two.")


def test_ten_copies_of_a_training_picture_stay_together(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    folder = write_image_folder(tmp_path, per_class=8) / "cifar10"
    for n in range(10):
        shutil.copy(folder / "train/cat/0000.png", folder / f"train/cat/copy{n}.png")
    for seed in range(10):
        data = load_dataset("cifar10", data_dir=tmp_path, validation_size=30, split_seed=seed)
        copies = [sum("cat/copy" in file for file in split.files) for split in (data.train, data.validation)]
        assert sorted(copies) == [0, 10] and overlap(data.train, data.validation) == 0
