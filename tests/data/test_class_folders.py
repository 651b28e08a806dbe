"""Folders of images: every file is read or named as left out, and names of splits mean what people mean by them."""

import json
import os
import re
import string
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hw2tune.data.image_folder import left_out_note, list_images
from hw2tune.data.load import load_dataset
from hw2tune.data.own import OwnOptions
from hw2tune.errors import DataError

IMAGES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".pgm", ".ppm")
FORMAT = {".jpe": "JPEG", ".jfif": "JPEG", ".gif": "GIF"}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8))


def folder(place, count=8, classes=("a", "b")):
    for label, name in enumerate(classes):
        (place / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            picture(zlib.crc32(place.name.encode()) + 100 * label + n).save(place / name / f"{n}.png")
    return place


def load(place, validation_size=None, **options):
    return load_dataset(str(place), own=OwnOptions(**options), validation_size=validation_size)


def read(data):
    return {file for files in data.files.values() for file in files}


# ---- files found = read + named as left out

names = st.text(string.ascii_letters + "._ é日", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
suffixes = st.sampled_from([*IMAGES, ".PNG", ".txt", "", ".part", ".db"])
places = st.lists(st.tuples(st.lists(names, max_size=2), names, suffixes, st.sampled_from("flmdo")), max_size=12)


def strew(root: Path, found) -> None:
    """Writes files (f), links to a file (l), to nothing (m) and to a folder (d), and pipes (o)."""
    for folders, stem, suffix, kind in found:
        try:
            place = root.joinpath(*folders)
            place.mkdir(parents=True, exist_ok=True)
            path = place / (stem + suffix)
            if os.path.lexists(path):
                continue
            if kind == "f":
                path.touch()
            elif kind == "o":
                os.mkfifo(path)
            else:
                path.symlink_to({"l": root / "a" / "0.png", "m": "nowhere", "d": root / "a"}[kind])
        except (NotADirectoryError, FileExistsError):
            continue


@settings(max_examples=60, deadline=None)
@given(places)
def test_whatever_lies_in_a_folder_is_read_or_left_out_and_counted(found):
    with TemporaryDirectory() as name:
        root = Path(name)
        for label in "ab":
            (root / label).mkdir()
            (root / label / "0.png").touch()
        strew(root, found)
        (images,), left_out = list_images(root, [root], ["a", "b"])
        taken = [image.path for image in images] + left_out
        assert len(taken) == len(set(taken))
        covered = set(taken)
        for place, folders, files in os.walk(root):  # enters no link
            for path in (Path(place) / one for one in [*files, *folders]):
                below = path.is_dir() and not path.is_symlink() and path not in covered
                assert below or path in covered or covered & set(path.parents), path
        assert all(path.suffix.lower() in IMAGES and path.name[0] != "." for path in (image.path for image in images))
        for note in left_out_note(left_out):
            folders = [path for path in left_out if path.is_dir() and path.name[0] != "."]
            counts = sum(int(number) for number in re.findall(r"(?:: |, )(\d+) (?:\.|hidden|without)", note))
            assert note.startswith(f"{len(left_out)} left out: ") and counts + len(folders) == len(left_out)


def test_what_is_left_out_is_named_in_one_line(tmp_path):
    folder(tmp_path, count=8)
    for path in ("a/notes.txt", "a/more.txt", "b/.DS_Store", "b/README", "labels.csv", "a/old.xcf"):
        (tmp_path / path).touch()
    (tmp_path / "b" / "elsewhere").symlink_to(tmp_path / "a")
    picture(1).save(tmp_path / "loose.png")
    data = load(tmp_path, test_share=0.25, validation_size=2)
    assert len(read(data)) == 16
    assert data.notes == (
        "8 left out: 2 .txt, 1 .csv, 1 .png outside of the class folders, 1 .xcf, 1 hidden, 1 without a suffix, folder "
        "elsewhere",
    )


def test_a_link_to_nothing_among_images_is_named(tmp_path):
    folder(tmp_path)
    (tmp_path / "a" / "9.png").symlink_to("gone.png")
    (tmp_path / "b" / "9.png").symlink_to("9.png")
    with pytest.raises(DataError) as refused:
        load(tmp_path, test_share=0.25)
    assert str(refused.value) == (
        f"{tmp_path}: 2 images cannot be used (a/9.png: a link to gone.png, which does not exist; b/9.png: Too many "
        "levels of symbolic links). Replace or remove them; none is left out."
    )


def test_all_formats_are_read_and_in_capital_letters_too(tmp_path):
    folder(tmp_path, count=1)
    for n, suffix in enumerate(IMAGES):
        for label, name in enumerate("ab"):
            image = picture(50 * label + n)
            image = image.convert("RGB") if suffix == ".ppm" else image
            image.save(tmp_path / name / f"x{n}{suffix.upper()}", format=FORMAT.get(suffix))
    data = load(tmp_path, test_share=0.25, validation_size=0.3)
    assert len(read(data)) == 2 + 2 * len(IMAGES)
    assert all("left out" not in note for note in data.notes)


def test_what_is_called_an_image_and_is_a_program_for_printers_is_not_opened(tmp_path):
    folder(tmp_path)
    (tmp_path / "a" / "9.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"\(a/9.png: not an image of PNG, JPEG, GIF, WEBP, BMP, TIFF, AVIF, PPM\)"):
        load(tmp_path, test_share=0.25)


def test_images_in_folders_below_a_class_are_of_the_class(tmp_path):
    folder(tmp_path)
    (tmp_path / "a" / "monday" / "noon").mkdir(parents=True)
    (tmp_path / "a" / "7.png").rename(tmp_path / "a" / "monday" / "noon" / "7.png")
    data = load(tmp_path, test_share=0.25, validation_size=2)
    assert "a/monday/noon/7.png" in read(data) and len(read(data)) == 16
    assert data.notes == ()


# ---- every fault at once


def test_every_image_that_is_cut_or_empty_is_named_in_one_message(tmp_path):
    folder(tmp_path, count=9)
    for n in range(3):
        path = tmp_path / "a" / f"{n}.png"
        path.write_bytes(path.read_bytes()[:60])  # a sound header
    (tmp_path / "b" / "0.png").write_bytes(b"")
    with pytest.raises(DataError) as refused:
        load(tmp_path, test_share=0.25)
    text = str(refused.value)
    assert text.startswith(
        f"{tmp_path}: 4 images cannot be used (a/0.png: image file is truncated; a/1.png: image file"
    )
    assert text.endswith(
        "b/0.png: not an image of PNG, JPEG, GIF, WEBP, BMP, TIFF, AVIF, PPM). Replace or remove them; none is left "
        "out."
    )


def test_of_many_ten_are_named_and_the_others_counted(tmp_path):
    folder(tmp_path, count=9)
    for path in sorted(tmp_path.glob("*/*"))[:12]:
        path.write_bytes(b"")
    with pytest.raises(DataError) as refused:
        load(tmp_path, test_share=0.25)
    text = str(refused.value)
    assert text.startswith(f"{tmp_path}: 12 images cannot be used (a/0.png: ")
    assert text.count(": not an image") == 10 and "; and 2 more)" in text


# ---- the names of splits


def parts(root, *names, count=8):
    for name in names:
        folder(root / name, count=count)
    return root


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "VALIDATION"])
def test_a_folder_for_validation_validates(tmp_path, name):
    data = load(parts(tmp_path, "train", name, "test"))
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 16, 16)
    for split, part in {"train": "train", "validation": name, "test": "test"}.items():
        assert {file.split("/")[0] for file in data.files[split]} == {part}
    assert data.notes == ()


def test_a_size_for_validation_beside_such_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError) as refused:
        load(parts(tmp_path, "train", "val", "test"), validation_size=0.1)
    assert str(refused.value) == f"{tmp_path}: has its own validation images; leave validation_size out."


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAIN", "test")])
def test_train_and_test_have_other_usual_names(tmp_path, train, test):
    data = load(parts(tmp_path, train, test), validation_size=4)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 16)


def test_a_share_of_train_is_the_test_where_validation_has_a_folder(tmp_path):
    data = load(parts(tmp_path, "train", "val"), test_share=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 16, 4)


def test_a_class_may_be_called_as_a_split(tmp_path):
    folder(tmp_path, classes=("bus", "train", "valid"))
    data = load(tmp_path, test_share=0.25, validation_size=3)
    assert data.info.classes == ("bus", "train", "valid")


def test_a_folder_beside_train_and_test_that_means_nothing_is_named(tmp_path):
    data = load(parts(tmp_path, "train", "test", "unlabelled"), validation_size=4)
    assert data.notes == ("1 left out: folder unlabelled",)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("train", "val"), "has train but no test; add test, rename val to test, or hold out a fraction with "
         "test_share = 0.2."),
        (("Train", "training", "test"), "Train and training both mean train; merge them."),
        (("test", "val"), "has val but no train folder; add or rename a folder."),
        (("x/train", "x/test"), "must have a folder for each of at least two classes, but has 1 (x); if the classes "
         "are in there, use {root}/x."),
        (("a/x", "b/train"), "has train, but splits come before classes: {root}/train/b; move or rename it."),
    ],
)  # fmt: skip
def test_folders_that_do_not_go_together_are_refused_with_a_way_out(tmp_path, names, said):
    parts(tmp_path, *names)
    share = {"test_share": 0.2} if "/" in names[0] else {}
    with pytest.raises(DataError) as refused:
        load(tmp_path, **share)
    assert str(refused.value).partition(": ")[2] == said.format(root=tmp_path)


# ---- equal pictures and the share for the test


def test_copies_of_a_picture_are_all_tested_or_none_is(tmp_path):
    folder(tmp_path, count=12)
    for n in range(6):
        (tmp_path / "a" / f"copy{n}.png").write_bytes((tmp_path / "a" / f"{n}.png").read_bytes())
    data = load(tmp_path, test_share=0.3, validation_size=4)
    tested = set(data.files["test"])
    assert all((f"a/copy{n}.png" in tested) == (f"a/{n}.png" in tested) for n in range(6))
    torn = load(tmp_path, test_share=0.3, validation_size=4, tear_copies=True)
    assert set(torn.files["test"]) != tested  # a study that allows the overlap keeps the split that it had


def test_a_class_that_gets_no_image_of_a_split_is_named(tmp_path):
    folder(tmp_path, count=20)
    for n in range(3, 20):
        (tmp_path / "b" / f"{n}.png").unlink()
    data = load(tmp_path, test_share=0.1, validation_size=2)
    assert data.notes == ("no test image of class b",)
    assert np.bincount(data.validation.labels).tolist() == [1, 1]


# ---- names that are not UTF-8


def test_names_that_are_not_utf_8_are_written_out_so_that_records_can_hold_them(tmp_path):
    folder(tmp_path, count=10)
    latin = os.fsdecode(b"caf\xe9")
    (tmp_path / "b").rename(tmp_path / latin)
    (tmp_path / "a" / f"{latin}.txt").touch()
    (tmp_path / f"{latin}s").touch()
    (tmp_path / f"x.{latin}").touch()
    data = load(tmp_path, test_share=0.2, validation_size=2)
    assert data.info.classes == ("a", r"caf\xe9")
    assert data.notes == (r"3 left out: 1 .caf\xe9, 1 .txt, 1 without a suffix",)
    json.dumps([sorted(read(data)), data.notes, data.info.classes], ensure_ascii=False).encode()
    (tmp_path / latin / f"{latin}.png").touch()
    with pytest.raises(DataError, match=r"1 image cannot be used \(caf\\xe9/caf\\xe9.png: "):
        load(tmp_path, test_share=0.2)
