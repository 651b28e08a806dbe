"""Images of the user's own: folders in every mode that pictures come in, and what functions return."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from hw2tune.data.load import load_dataset
from hw2tune.data.own import OwnOptions, _moments
from hw2tune.data.splits import group_indices
from hw2tune.errors import DataError

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
COLOUR = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=2)


def folder(place, *, classes=("a", "b"), count=10, image=None, part=""):
    for label, name in enumerate(classes):
        (place / part / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            pixels = COLOUR + label + 2 * n if image is None else image
            Image.fromarray(pixels.astype(np.uint8)).save(place / part / name / f"{n}.png")
    return place


def load(place, **options):
    settings = {"validation_size": 0.2} | options
    own = OwnOptions(**{key: settings.pop(key) for key in ("test_share", "resize", "code") if key in settings})
    return load_dataset(str(place), own=own, **settings)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_one_level_of_classes_is_split_by_a_share(tmp_path):
    data = load(folder(tmp_path / "shapes", count=20), test_share=0.25)
    assert {name: len(getattr(data, name)) for name in ("train", "validation", "test")} == {
        "train": 24, "validation": 6, "test": 10,
    }  # fmt: skip
    for name in ("train", "validation", "test"):
        assert (np.bincount(getattr(data, name).labels) == len(getattr(data, name)) / 2).all()
    assert (data.info.name, data.info.classes, data.info.image_shape) == ("shapes", ("a", "b"), (8, 8, 3))
    pixels = data.train.images / 255
    assert data.info.mean == pytest.approx(pixels.mean((0, 1, 2)), abs=1e-4)
    assert data.info.std == pytest.approx(pixels.std((0, 1, 2)), abs=1e-4)
    again = load(tmp_path / "shapes", test_share=0.25)
    assert (again.checksum, again.split_checksum) == (data.checksum, data.split_checksum)
    assert data.files["test"] and all(file[0] in "ab" for file in data.files["test"])


def test_a_share_without_an_image_is_refused_before_anything_is_trained(tmp_path):
    folder(tmp_path, count=20)
    with pytest.raises(DataError, match=r"^test_share: must hold out an image or more, so at least 0\.025 of 40 im"):
        load(tmp_path, test_share=0.01)
    with pytest.raises(DataError, match=r"^validation_size: must be 2 to 30 images, .* 0\.01, which is 0 of 32;"):
        load(tmp_path, test_share=0.2, validation_size=0.01)


def test_ten_percent_of_very_few_images_is_refused_where_nothing_is_said_of_validation(tmp_path):
    folder(folder(tmp_path, count=2, part="train"), count=1, part="test")
    with pytest.raises(DataError, match=r"^validation_size: must be 2 to 2 images, .* 0\.1, which is 0 of 4; set a"):
        load(tmp_path, validation_size=None)
    assert len(load(tmp_path, validation_size=2).train) == 2


def test_train_and_test_folders_are_taken_as_they_are(tmp_path):
    folder(tmp_path, part="train")
    folder(tmp_path, part="test", count=3)
    assert len(load(tmp_path).test) == 6


def saved(place, image, name="0.png", **more):
    folder(place, count=8)
    image.save(place / "a" / name, **more)
    return place


def first(data):
    """The one picture that is not like the others: every split in turn."""
    for name, files in data.files.items():
        for place, file in enumerate(files):
            if file.startswith("a/0."):
                return getattr(data, name).images[place]
    raise AssertionError(data.files)


def test_transparent_parts_are_laid_on_white_and_that_is_said(tmp_path):
    pixels = np.dstack([COLOUR, np.full((8, 8), 128, np.uint8)])
    data = load(saved(tmp_path, Image.fromarray(pixels, "RGBA")), test_share=0.2)
    expected = COLOUR * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_allclose(first(data), expected, atol=1.5)
    assert data.notes == ("1 image with transparent parts, laid on white",)


def test_a_palette_is_resolved_and_a_camera_s_rotation_carried_out(tmp_path):
    image = Image.fromarray(COLOUR).quantize(256)
    data = load(saved(tmp_path, image), test_share=0.2)
    np.testing.assert_allclose(first(data), np.asarray(image.convert("RGB")))
    assert data.notes == ("1 image with a palette, resolved",)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(COLOUR).save(tmp_path / "a" / "0.png", exif=exif)
    data = load(tmp_path, test_share=0.2)
    np.testing.assert_array_equal(first(data), np.rot90(COLOUR, -1))
    assert data.notes == ("1 image turned as their camera noted (EXIF)",)


def test_gray_images_have_one_channel_and_16_bits_are_scaled(tmp_path):
    folder(tmp_path, count=8, image=GRAY)
    for n in range(8):
        Image.fromarray(GRAY + n).save(tmp_path / "a" / f"{n}.png")
        Image.fromarray((GRAY + n + 8).astype(np.uint16) * 257).save(tmp_path / "b" / f"{n}.png")
    data = load(tmp_path, test_share=0.25, validation_size=4, split_seed=1)
    assert data.info.image_shape == (8, 8, 1)
    assert {int(image[0, 0, 0]) for image in data.train.images} <= set(range(16))
    assert all(np.array_equal(image[..., 0] - image[0, 0, 0], GRAY) for image in data.train.images)
    assert data.notes == ("8 images of 16 bits, scaled to 8",)


def test_an_image_of_too_many_pixels_is_said(tmp_path, monkeypatch):
    place = saved(tmp_path, Image.fromarray(COLOUR))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)  # Pillow refuses twice as many
    with pytest.raises(DataError, match=r"a/0\.png: .*exceeds limit of 32 pixels"):
        load(place, test_share=0.2)


def test_cmyk_gif_and_webp_are_read(tmp_path):
    folder(tmp_path, count=8)
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a" / "0.jpg")
    Image.fromarray(GRAY).save(tmp_path / "a" / "9.gif")
    Image.fromarray(COLOUR).save(tmp_path / "b" / "9.webp", lossless=True)
    data = load(tmp_path, test_share=0.2)
    assert sum(map(len, (data.train, data.validation, data.test))) == 19
    assert "1 image in CMYK, converted to RGB" in data.notes


def test_different_sizes_are_refused_with_both_and_resized_where_that_is_said(tmp_path):
    place = saved(tmp_path, Image.fromarray(COLOUR).resize((12, 6)))
    with pytest.raises(DataError) as refused:
        load(place, test_share=0.2)
    assert str(refused.value) == (
        f"{place}/a/1.png: is 8 x 8 pixels (height x width), and {place}/a/0.png is 6 x 12; images of one study must "
        "have one size: write resize = [6, 12] into the study file."
    )
    data = load(place, test_share=0.2, resize=[16, 8])
    assert data.info.image_shape == (16, 8, 3)
    assert data.notes == ("16 images resized to 16 x 8 pixels",)


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda p: p / "gone", {}, "gone: no such folder of images."),
        (lambda p: folder(p), {}, ": has no train and test folders; set the fraction for the test with test_share = "
         "0.2."),
        (lambda p: folder(p, part="train"), {}, ": has train but no test; add test, or hold out a fraction with "
         "test_share = 0.2."),
        (lambda p: folder(folder(p, part="train"), part="test", classes=("a", "c")), {},
         ": train and test must have the same classes, but b is in only one of them."),
        (lambda p: folder(p, classes=("a",)), {"test_share": 0.2},
         ": must have a folder for each of at least two classes, but has 1 (a); if the classes are in there, use "
         "PLACE/a."),
        (lambda p: folder(folder(p, image=GRAY * 0, part="train"), image=GRAY * 0, part="test"), {"validation_size": 0},
         "all training images are the same in channel 0: there is nothing to learn from."),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, make, options, said):
    with pytest.raises(DataError) as refused:
        load(make(tmp_path), **options)
    assert str(refused.value).endswith(said.replace("PLACE", str(tmp_path)))


def test_a_damaged_image_is_named(tmp_path):
    folder(tmp_path)
    (tmp_path / "a" / "3.png").write_bytes((tmp_path / "a" / "3.png").read_bytes()[:40])
    with pytest.raises(DataError, match=rf"^{tmp_path}: 1 image cannot be used \(a/3.png: "):
        load(tmp_path, test_share=0.2)


CODE = """
import numpy as np
def load():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (60, 12, 10, 3)).astype(np.uint8)
    labels = np.arange(60) % 3
    data = {"train": (images[:45], labels[:45]), "test": (images[45:], labels[45:]), "classes": ["x", "y", "z"]}
    CHANGE
    return data
"""


def returned(change: str, **options):
    return load("data.py:load", code={"data.py": CODE.replace("CHANGE", change)}, **options)


def test_a_function_s_arrays_are_a_data_set():
    data = returned("pass", validation_size=9)
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 9, 15)
    assert (data.info.name, data.info.classes, data.info.image_shape) == ("data", ("x", "y", "z"), (12, 10, 3))
    first = returned("data = {k: (v[0].transpose(0, 3, 1, 2), v[1]) if k != 'classes' else v for k, v in data.items()}",
                     validation_size=9)  # fmt: skip
    assert first.checksum == data.checksum  # channels first, the same images


def test_fractions_stay_fractions_and_a_split_of_ones_own_stays():
    data = returned("data = {k: ((v[0] / 255).astype('float32'), v[1]) if k != 'classes' else v"
                    " for k, v in data.items()}; data['validation'] = data['test']")  # fmt: skip
    assert data.train.images.dtype == np.float32 and len(data.train) == 45
    assert np.array_equal(data.validation.images, data.test.images)
    assert "validation_size is not used: data.py:load returns validation images" in data.notes
    assert data.info.mean == pytest.approx(data.train.images.mean((0, 1, 2)), abs=1e-4)


def test_groups_are_never_split():
    data = returned("data['groups'] = [f'patient {i // 5}' for i in range(45)]", validation_size=0.3)
    assert len(data.validation) % 5 == 0 and 10 <= len(data.validation) <= 15
    labels, groups = np.arange(100) % 2, np.repeat(np.arange(20), 5)
    chosen = group_indices(labels, groups, 20, classes=["a", "b"], seed=3)
    assert all(np.isin(np.flatnonzero(groups == group), chosen).all() for group in np.unique(groups[chosen]))
    assert abs(len(chosen) - 20) <= 5


@pytest.mark.parametrize(
    "classes", ["('x', 'y', 'z')", "np.array(['x', 'y', 'z'])", "{'x': 0, 'y': 1, 'z': 2}", "(c for c in 'xyz')"]
)
def test_names_of_classes_may_come_in_any_form_that_has_the_order_of_the_labels(classes):
    assert returned(f"data['classes'] = {classes}").info.classes == ("x", "y", "z")


def test_images_whose_group_is_not_a_number_are_one_group_and_that_is_said():
    data = returned("data['groups'] = [float('nan') if i < 10 else i // 5 for i in range(45)]", validation_size=0.3)
    assert "10 of 45 training images have NaN as their group: they are one group" in data.notes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("raise KeyError('file')", "data.py:load: data.py, line 8: KeyError: 'file'"),
        ("return 3", "data.py:load: must return a dict with train, test and classes, but returned a int."),
        ("del data['test']", "data.py:load: returned no 'test'; train, test and classes are required."),
        ("data['tset'] = 1", "data.py:load: returned 'tset'; known are train, test, classes, validation, groups."),
        ("data['classes'] = ['x']", "data.py:load: classes must be 2 to 10,000 different names, but got 1."),
        ("data['test'] = (images[45:], labels[:3])",
         "data.py:load: test: needs one label for each image, but got (3,) for 15 images."),
        ("data['test'] = (images[45:], labels[45:] + 1)",
         "data.py:load: test: labels must be between 0 and 2, but got 3."),
        ("data['test'] = (images[45:], labels[45:] / 2)",
         "data.py:load: test: labels must be whole numbers, but got float64."),
        ("data['test'] = (images[45:].astype('int16'), labels[45:])",
         "data.py:load: test: images must be uint8 (0 to 255) or float32 (0 to 1), but got int16."),
        ("data['test'] = (images[45:] * np.float32('nan'), labels[45:])",
         "data.py:load: test: images must be finite, but got NaN or infinity."),
        ("data['test'] = (images[45:, :3, :, :3], labels[45:])",
         "data.py:load: test: the axis of the channels is ambiguous in (15, 3, 10, 3); return (N, H, W, C) with 1 "
         "to 4 channels and larger images."),
        ("data['test'] = (images[45:, :8], labels[45:])",
         "data.py:load: all splits must have images of one shape and type, but got "),
        ("data['groups'] = [1]", "data.py:load: groups must have an entry for each of 45 training images, but got 1."),
        ("data['groups'] = 3",
         "data.py:load: groups must have an entry for each of 45 training images, but got an array of shape ()."),
        ("data['groups'] = np.zeros((45, 2))",
         "data.py:load: groups must have an entry for each of 45 training images, but got an array of shape (45, 2)."),
        ("data['groups'] = [None if i % 7 else 'p' for i in range(45)]",
         "data.py:load: groups must be numbers or names ('<' not supported between instances of 'NoneType' and 'str'); "
         "give an image of an unknown group a name of its own."),
        ("data['groups'] = [('a',), ('a', 1)] * 22 + [3]", "data.py:load: groups must be numbers or names (setting an"),
        ("data['classes'] = 3", "data.py:load: classes must be a list of names in the order of the labels, but got 3."),
        ("data['classes'] = {'x', 'y', 'z'}",
         "data.py:load: classes must be a list of names in the order of the labels, but got a set."),
        ("data['classes'] = {'x': 1, 'y': 0, 'z': 2}",
         "data.py:load: classes must be a list of names in the order of the labels, but got a dict."),
        ("data['train'] = (images[:, :0], labels)",
         "data.py:load: train: images must have pixels and channels, but got (60, 0, 10, 3)."),
        ("data['test'] = (images[45:, :, :, :0], labels[45:])",
         "data.py:load: test: images must have pixels and channels, but got (15, 12, 10, 0)."),
        ("import torch; data['test'] = (torch.zeros(15, 12, 10, requires_grad=True), labels[45:])",
         "data.py:load: test: must be a pair of images and labels (Can't call numpy() on Tensor that requires grad."),
    ],
)  # fmt: skip
def test_what_a_function_must_not_return_is_said(change, said):
    with pytest.raises(DataError) as refused:
        returned(change)
    assert str(refused.value).startswith(said)


def test_the_digits_of_scikit_learn_need_no_download():
    data = load_dataset("digits", validation_size=0.1)
    assert (len(data.train), len(data.validation), len(data.test)) == (1293, 144, 360)
    assert data.info.image_shape == (8, 8, 1) and data.train.images.max() == 255
    assert data.info.mean == pytest.approx([(data.train.images / 255).mean()], abs=0.01)


def test_mean_and_deviation_are_those_of_numpy_without_a_copy_eight_times_as_large():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (1050, 48, 48, 3), np.uint8)
    images[..., 1] //= 3
    tracemalloc.start()
    mean, std = _moments(images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * images.nbytes
    assert mean == pytest.approx(images.mean(axis=(0, 1, 2), dtype=np.float64), rel=1e-12)
    assert std == pytest.approx(images.std(axis=(0, 1, 2), dtype=np.float64), rel=1e-12)


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-5, 1e-9])
def test_floats_of_a_small_scale_are_normalised_as_others_are(size):
    """Reflectances or probabilities, for example: a deviation far below 1 keeps four digits."""
    text = f"import numpy as np\n{RANDOM}".replace("SIZE", repr(size))
    data = load_dataset("data.py:load", own=OwnOptions(code={"data.py": text}))
    normalised = (data.train.images.astype(np.float64) - data.info.mean) / data.info.std
    assert abs(normalised.mean()) < 5e-3
    assert normalised.std() == pytest.approx(1, abs=5e-3)


def test_moments_of_usual_images_keep_four_decimals():
    """They are part of a training's key."""
    text = f"import numpy as np\n{RANDOM}".replace("SIZE", "0.5")
    data = load_dataset("data.py:load", own=OwnOptions(code={"data.py": text}))
    assert [*data.info.mean, *data.info.std] == [
        round(float(function(data.train.images, dtype=np.float64)), 4) for function in (np.mean, np.std)
    ]


RANDOM = """
def load():
    random = np.random.default_rng(0)
    images, labels = (random.random((100, 16, 16)) * SIZE).astype("float32"), random.integers(0, 2, 100)
    return {"train": (images[:80], labels[:80]), "test": (images[80:], labels[80:]), "classes": ["a", "b"]}
"""
