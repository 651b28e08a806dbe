"""Pixels of more than 8 bits: one scale for all images of a data set, kept with it."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hw2tune.data.image_file import largest_value, read_header, read_pixels, white_of
from hw2tune.data.load import load_dataset
from hw2tune.data.own import OwnOptions
from hw2tune.errors import DataError, ImageError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))


def load(place, **options):
    return load_dataset(str(place), own=OwnOptions(test_share=0.25, **options), validation_size=4)


def values(number, largest, kind=np.uint16):
    """8 x 8 pixels from 0 to `largest`, both of which occur."""
    pixels = np.random.default_rng(number).random((8, 8)) * largest
    pixels.flat[:2] = 0, largest
    return pixels.astype(kind)


def folder(place, largest_of, kind=np.uint16, suffix=".png"):
    """Two classes of 10 images; `largest_of(label, n)` is the largest pixel of one of them."""
    for label, name in enumerate("ab"):
        (place / name).mkdir(parents=True)
        for n in range(10):
            image = values(10 * label + n, largest_of(label, n), kind)
            Image.fromarray(image).save(place / name / f"{n}{suffix}")
    return place


def pixels_of(data):
    """All images by file name."""
    splits = ((files, getattr(data, split).images) for split, files in data.files.items())
    return {file: image[..., 0] for files, images in splits for file, image in zip(files, images, strict=True)}


def test_pictures_of_12_bits_use_all_of_8_and_that_is_said(tmp_path):
    data = load(folder(tmp_path, lambda label, n: 4_095 if n == 0 else 3_000))
    assert data.white == {"integers": 4_095}
    assert data.notes == ("20 images of 12 bits, scaled to 8",)
    found = pixels_of(data)
    assert max(image.max() for image in found.values()) == 255
    np.testing.assert_array_equal(found["a/3.png"], values(3, 3_000).astype(int) * 255 // 4_095)


def test_a_dark_picture_stays_as_much_darker_than_its_neighbour_as_it_is(tmp_path):
    """Levels 255 and 256 made the first bright and the second black, each by its own scale."""
    found = pixels_of(load(folder(tmp_path, lambda label, n: 1_023 if label else 250 + n)))
    for n in range(10):  # 250 to 259 of 1,023, and 1,023
        assert found[f"a/{n}.png"].max() == (250 + n) * 255 // 1_023
        assert found[f"b/{n}.png"].max() == 255


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 65_535), min_size=2, max_size=6, unique=True))
def test_what_is_brighter_in_the_files_is_never_darker_in_the_pixels(tmp_path_factory, levels):
    place = tmp_path_factory.mktemp("levels")
    white = {"integers": white_of("integers", max(levels))}
    seen = []
    for level in sorted(levels):
        Image.fromarray(np.full((2, 2), level, np.uint16)).save(place / "x.png")
        seen.append(int(read_pixels(place / "x.png", (2, 2), 1, white)[0, 0, 0]))
    assert seen == sorted(seen)
    assert max(levels) < 256 or seen[-1] >= 63  # no more than two bits of eight are given away


def test_what_full_16_bits_became_is_unchanged(tmp_path):
    """Also where the brightest of all is less than white: 83dc8fd divided by 257."""
    data = load(folder(tmp_path, lambda label, n: 40_000 + n))
    assert (data.white, data.notes) == ({"integers": 65_535}, ("20 images of 16 bits, scaled to 8",))
    np.testing.assert_array_equal(pixels_of(data)["b/1.png"], values(11, 40_001) // 257)


def test_16_bits_that_hold_8_are_taken_as_they_are(tmp_path):
    data = load(folder(tmp_path, lambda label, n: 200 + n))
    assert (data.white, data.notes) == ({"integers": 255}, ("20 images of 16 bits, of which 8 are used",))
    np.testing.assert_array_equal(pixels_of(data)["a/1.png"], values(1, 201))


@pytest.mark.parametrize(
    ("largest", "white", "note"),
    [
        (1.0, 1, "20 images of floating-point numbers, scaled to 8 bits"),
        (255.0, 255, "20 images of floating-point numbers, scaled to 8 bits (255 is white)"),
        (4_000.0, 4_095, "20 images of floating-point numbers, scaled to 8 bits (4,095 is white)"),
    ],
)
def test_numbers_have_one_scale_too(tmp_path, largest, white, note):
    """One image of 20 that is dark would have been taken for one from 0 to 1."""
    data = load(folder(tmp_path, lambda label, n: largest if n else 0.5, np.float32, ".tif"))
    assert (data.white, data.notes) == ({"floats": white}, (note,))
    expected = np.rint(values(12, largest, np.float32) * np.float32(255 / white))
    np.testing.assert_array_equal(pixels_of(data)["b/2.tif"], expected)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.array([[0, 100_000], [70_000, 65_535]], np.int32), "values from 0 to 100,000"),
        (np.array([[-1, 5], [7, 9]], np.int32), "values from -1 to 9"),
        (np.array([[-0.5, 0.5]], np.float32), "values from -0.5 to 0.5"),
        (np.array([[0.5, np.nan]], np.float32), "values from nan to nan"),
        (np.array([[0.5, np.inf]], np.float32), "values from 0.5 to inf"),
    ],
)
def test_values_that_16_bits_do_not_hold_are_refused(tmp_path, pixels, said):
    Image.fromarray(pixels).save(tmp_path / "x.tif")
    with pytest.raises(ImageError) as refused:
        largest_value(tmp_path / "x.tif")
    assert str(refused.value) == f"{said}; convert it to 0 to 65,535"


def test_such_a_file_is_named_by_its_data_set(tmp_path):
    folder(tmp_path, lambda label, n: 60_000)
    Image.fromarray(values(0, 100_000, np.int32)).save(tmp_path / "a" / "x.tif")
    with pytest.raises(DataError, match=r"1 image cannot be used \(a/x.tif: values from 0 to 100,000; convert it to"):
        load(tmp_path)


def png_of_16_bit_colours(path, pixels):
    """Pillow writes none: (H, W, 3) uint16 by the format's own rules."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">2I5B", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (
        (struct.pack(">I", len(body)), kind + body, struct.pack(">I", zlib.crc32(kind + body))) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(part for chunk in parts for part in chunk))


def test_colours_of_16_bits_say_that_the_lower_half_goes(tmp_path):
    png_of_16_bit_colours(tmp_path / "x.png", np.full((2, 2, 3), 4_095, np.uint16))
    assert read_header(tmp_path / "x.png").what == ("of 16 bits a channel, of which the upper 8 count",)
    Image.new("RGB", (2, 2)).save(tmp_path / "y.png")
    assert read_header(tmp_path / "y.png").what == ()


def test_scale_and_notes_come_back_with_images_that_were_decoded_before(tmp_path):
    folder(tmp_path / "x", lambda label, n: 1_000)
    first = load(tmp_path / "x")
    again = load_dataset(
        str(tmp_path / "x"), own=OwnOptions(test_share=0.25), validation_size=4, progress=lambda *call: 1 / 0
    )
    assert (again.white, again.notes, again.checksum) == (first.white, first.notes, first.checksum)
    assert first.white == {"integers": 1_023}


# ---- other changes that are said


def test_gray_images_that_get_three_channels_for_one_in_colour_are_counted(tmp_path):
    folder(tmp_path, lambda label, n: 200, np.uint8)
    colour = np.stack([values(n, 250, np.uint8) for n in range(3)], axis=2)
    Image.fromarray(colour).save(tmp_path / "b" / "x.png")
    data = load(tmp_path)
    assert data.info.image_shape == (8, 8, 3)
    assert data.notes == ("20 images in gray get three channels, as 1 have colours (such as b/x.png)",)


def drawing(number):
    """White strokes on a transparent ground."""
    alpha = values(number, 255, np.uint8)
    return Image.fromarray(np.dstack([np.full((8, 8, 3), 255, np.uint8), alpha]))


def test_white_drawings_on_transparent_ground_are_counted_and_a_class_of_them_refused(tmp_path):
    folder(tmp_path, lambda label, n: 200, np.uint8)
    drawing(0).save(tmp_path / "a" / "0.png")
    text = "all white once laid on white (such as a/0.png): drawn in white on a transparent ground"
    assert f"1 image {text}" in load(tmp_path).notes
    for n in range(10):
        drawing(n).save(tmp_path / "a" / f"{n}.png")
    with pytest.raises(DataError) as refused:
        load(tmp_path)
    assert str(refused.value) == (f"{tmp_path}: every image of 1 of the classes is {text}; give them a dark ground.")
