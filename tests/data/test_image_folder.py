import os
import shutil

import numpy as np
import pytest
from PIL import Image

from hw2tune.data.catalog import DATASETS
from hw2tune.data.load import list_datasets, load_dataset
from hw2tune.errors import DataError
from tests.data.small_image_folders import pixels_of

WAY_OUT = "Replace or remove it, or name another folder with --data-dir; a damaged copy is never used or passed over."

FOREIGN = "not an image of PNG, JPEG, GIF, WEBP, BMP, TIFF, AVIF, PPM"


def load(root, name="cifar10", **options):
    return load_dataset(name, data_dir=root, validation_size=10, download=False, **options)


def message(root, name="cifar10"):
    with pytest.raises(DataError) as error:
        load(root, name)
    return str(error.value)


def unusable(root, named):
    return f"{root}/cifar10: 1 image cannot be used ({named}). Replace or remove them; none is left out."


def problem(root, name="cifar10"):
    return next(status.problem for status in list_datasets(data_dir=root) if status.name == name)


def decoded_files(cache):
    return sorted((cache / "decoded").iterdir())


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_lossless_images_come_back_pixel_for_pixel(image_folder, name):
    root, info = image_folder(name, per_class=2), DATASETS[name]
    data = load_dataset(name, data_dir=root, validation_size=0, download=False)
    expected = np.stack([pixels_of(info, "train", k, n) for k in range(10) for n in range(2)])
    assert (data.train.images == expected.reshape(-1, *info.image_shape)).all()
    assert data.train.labels.tolist() == [k for k in range(10) for _ in range(2)]
    expected = np.stack([pixels_of(info, "test", k, 0) for k in range(10)])
    assert (data.test.images == expected.reshape(-1, *info.image_shape)).all()
    assert data.source == str(root / name)


def test_grey_images_stored_in_colour_lose_nothing(image_folder):
    root = image_folder("mnist")
    grey = load(root, "mnist").checksum
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            image.convert("RGB").save(path)
    assert load(root, "mnist").checksum == grey


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 95, 100])
def test_a_jpeg_folder_says_so_with_its_quality(image_folder, quality):
    root = image_folder(suffix=".jpg", per_class=2, quality=quality)
    assert load(root).label == f"CIFAR-10 (JPEG q{quality}, 20 + 10 of 50,000 + 10,000 images)"


def test_a_jpeg_with_a_table_of_its_own_is_just_jpeg(image_folder):
    root = image_folder(suffix=".jpeg", qtables=[[7] * 64, [9] * 64])
    assert load(root).label == "CIFAR-10 (JPEG, 30 + 10 of 50,000 + 10,000 images)"


def test_a_png_folder_says_that_it_is_an_image_folder(image_folder):
    assert load(image_folder("mnist"), "mnist").label == "MNIST (image folder, 30 + 10 of 60,000 + 10,000 images)"


def test_one_jpeg_among_lossless_images_makes_the_label_say_jpeg(image_folder):
    root = image_folder()
    path = root / "cifar10/test/truck/0000.png"
    with Image.open(path) as image:
        image.save(path.with_suffix(".jpg"), quality=60)
    assert load(root).label.startswith("CIFAR-10 (JPEG q60, ")


@pytest.mark.matrix
@pytest.mark.matrix
@pytest.mark.real_data
def test_the_real_jpeg_folder_has_all_images_and_is_quick_the_second_time(real_data_dir):
    seen = []
    first = load_dataset("cifar10", data_dir=real_data_dir, progress=lambda *call: seen.append(call), download=False)
    again = load_dataset("cifar10", data_dir=real_data_dir, progress=lambda *call: 1 / 0, download=False)
    assert first.label == again.label == "CIFAR-10 (JPEG q75)"
    assert first.checksum == again.checksum
    assert seen[0] == ("decoding images", 500, 60_000)
    assert seen[-1] == ("decoding images", 60_000, 60_000)
    splits = (first.train, first.validation, first.test)
    assert [np.bincount(split.labels).tolist() for split in splits] == [[4500] * 10, [500] * 10, [1000] * 10]
    with Image.open(real_data_dir / "cifar10/test/bird/0007.jpg") as image:
        assert (first.test.images[2007] == np.asarray(image)).all()


# ---- the cache of decoded images


def test_a_folder_is_decoded_once(image_folder, cache):
    root = image_folder()
    calls = []
    first = load(root, progress=lambda *call: calls.append(call))
    again = load(root, progress=lambda *call: calls.append(call))
    assert calls == [("decoding images", 40, 40)]
    assert first.checksum == again.checksum
    assert [file.suffix for file in decoded_files(cache)] == [".npz"]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_damaged_cache_is_decoded_again(image_folder, cache, damage):
    root = image_folder()
    first = load(root)
    (file,) = decoded_files(cache)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {"cut": content[: len(content) // 2], "bit": content, "empty": b"", "other": b"{}"}
    file.write_bytes(changed[damage])
    calls = []
    assert load(root, progress=lambda *call: calls.append(call)).checksum == first.checksum
    assert calls
    assert load(root, progress=lambda *call: 1 / 0).checksum == first.checksum


@pytest.mark.parametrize("change", ["touched", "added", "removed", "renamed"])
def test_a_changed_folder_is_decoded_again(image_folder, change):
    root = image_folder()
    load(root)
    path = root / "cifar10/train/cat/0001.png"
    {
        "touched": lambda: os.utime(path, (1, 1)),
        "added": lambda: shutil.copy(path, path.with_name("0009.png")),
        "removed": path.unlink,
        "renamed": lambda: path.rename(path.with_name("0009.png")),
    }[change]()
    calls = []
    load(root, progress=lambda *call: calls.append(call))
    assert calls


def test_a_cache_that_cannot_be_written_is_done_without(image_folder, cache):
    cache.write_text("a file where the folder should be")
    assert load(image_folder()).checksum


def test_a_cache_that_cannot_be_written_leaves_nothing_half_written(image_folder, cache):
    root = image_folder()
    load(root)
    (file,) = decoded_files(cache)
    file.unlink()
    file.mkdir()  # the finished file cannot take this place
    load(root)
    assert decoded_files(cache) == [file]


# ---- damage


@pytest.mark.parametrize("keep", [0, 20, 700])
def test_an_image_that_cannot_be_decoded_is_named(image_folder, keep):
    root = image_folder()
    path = root / "cifar10/train/ship/0001.png"
    path.write_bytes(path.read_bytes()[:keep])
    reason = {0: FOREIGN, 20: "Truncated File Read", 700: "image file is truncated"}[keep]
    assert message(root) == unusable(root, f"train/ship/0001.png: {reason}")


def test_a_cut_jpeg_is_named(image_folder):
    root = image_folder(suffix=".jpg")
    path = root / "cifar10/train/ship/0001.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    assert "1 image cannot be used (train/ship/0001.jpg: image file is truncated (" in message(root)


def test_the_first_jpeg_being_broken_is_told_as_any_other(image_folder):
    root = image_folder(suffix=".jpg")
    path = root / "cifar10/train/airplane/0000.jpg"
    path.write_bytes(b"not a picture")
    assert message(root) == unusable(root, f"train/airplane/0000.jpg: {FOREIGN}")


def test_a_broken_folder_leaves_nothing_in_the_cache(image_folder, cache):
    root = image_folder()
    (root / "cifar10/test/truck/0000.png").write_bytes(b"")
    message(root)
    assert not (cache / "decoded").exists()


def test_an_image_of_another_size_is_named(image_folder):
    root = image_folder()
    path = root / "cifar10/test/dog/0000.png"
    Image.new("RGB", (32, 33)).save(path)
    assert message(root) == unusable(root, "test/dog/0000.png: 32x33 pixels instead of 32x32")


def test_an_image_with_transparency_is_named(image_folder):
    root = image_folder()
    path = root / "cifar10/test/dog/0000.png"
    Image.new("RGBA", (32, 32)).save(path)
    assert message(root) == unusable(root, "test/dog/0000.png: mode RGBA instead of one of L, RGB, P")


def test_a_jpeg_in_disguise_is_named(image_folder):
    root = image_folder()
    path = root / "cifar10/test/dog/0000.png"
    Image.new("RGB", (32, 32)).save(path, format="JPEG")
    assert message(root) == unusable(root, "test/dog/0000.png: a JPEG file, named as PNG")


def test_a_missing_class_folder_is_named(image_folder):
    root = image_folder()
    shutil.rmtree(root / "cifar10/train/frog")
    expected = (
        f"{root}/cifar10/train: expected the class folders airplane, automobile, bird, cat, deer, dog, frog, horse, "
        f"ship, truck, but found no frog. {WAY_OUT}"
    )
    assert message(root) == problem(root) == expected


def test_class_folders_of_another_data_set_are_named(image_folder):
    root = image_folder("mnist")
    (root / "mnist/test/ten").mkdir()
    expected = (
        f"{root}/mnist/test: expected only the class folders 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "
        f"but found also ten. {WAY_OUT}"
    )
    assert message(root, "mnist") == problem(root, "mnist") == expected


def test_an_empty_class_folder_is_named(image_folder):
    root = image_folder()
    folder = root / "cifar10/train/deer"
    for path in folder.iterdir():
        path.rename(path.with_suffix(".txt"))
    assert message(root) == (
        f"{folder}: no image of its class (3 left out: 3 .txt); images are .png, .jpg, .jpeg, .jpe, .jfif, .gif, "
        ".webp, .bmp, .dib, .tif, .tiff, .avif, .pbm, .pgm, .ppm, .pnm."
    )


def test_a_folder_without_test_images_is_named(image_folder):
    root = image_folder()
    shutil.rmtree(root / "cifar10/test")
    expected = f"{root}/cifar10/test: this folder is missing; an image folder of CIFAR-10 needs train and test."
    assert message(root) == problem(root) == expected


def test_files_that_the_system_strews_about_are_left_alone(image_folder):
    root = image_folder()
    before = load(root).checksum
    for path in ("train/.DS_Store", "train/cat/Thumbs.db", "train/cat/._0000.png", ".complete"):
        (root / "cifar10" / path).write_bytes(b"?")
    (root / "cifar10/train/.ipynb_checkpoints").mkdir()
    data = load(root)
    assert data.checksum == before
    assert data.notes == ("5 left out: 4 hidden, 1 .db",)
