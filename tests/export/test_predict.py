"""Image files as people have them: each is read as training images are, what was done to it is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hw2tune
from tests.export.trained_study import write_trained_study

ORIENTATION = 0x0112


@pytest.fixture
def digit(digits) -> np.ndarray:
    """A test image (28, 28) of the study `small`."""
    return digits[1].test.images[3, ..., 0]


def write(folder: Path, digit: np.ndarray) -> dict[str, Path]:
    """The same digit in many kinds of file."""
    gray = Image.fromarray(digit)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was turned: shown rotated by 90 degrees clockwise
    transparent = Image.fromarray(np.dstack([np.zeros((28, 28, 3), np.uint8), 255 - digit]))  # black, white below it
    kinds = {
        "gray.png": gray,
        "rgb.bmp": gray.convert("RGB"),
        "palette.gif": gray.convert("P"),
        "deep.png": Image.fromarray(digit.astype(np.uint16) * 257),
        "numbers.tif": Image.fromarray((digit / 255).astype(np.float32)),
        "clear.png": transparent,
        "turned.png": gray.rotate(90, expand=True),
        "large.png": gray.resize((56, 56), Image.Resampling.NEAREST),
    }
    for name, image in kinds.items():
        image.save(folder / name, **({"exif": exif} if name == "turned.png" else {}))
    return {name: folder / name for name in kinds}


def test_every_kind_of_file_is_the_same_digit_and_what_was_done_is_said(digits, digit, tmp_path):
    files = write(tmp_path, digit)
    found = {Path(one.file).name: one for one in hw2tune.predict("small", files.values(), results_dir=digits[0]).images}
    expected = found["gray.png"]
    for name, one in found.items():
        assert (one.error, one.label) == ("", expected.label), name
        if name == "large.png":  # resizing smooths
            continue
        np.testing.assert_allclose(
            list(one.probabilities.values()), list(expected.probabilities.values()), atol=1e-6, err_msg=name
        )
    assert sum(expected.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert {name: one.notes for name, one in found.items()} == {
        "gray.png": (),
        "rgb.bmp": ("converted to gray",),
        "palette.gif": ("with a palette, resolved", "converted to gray"),
        "deep.png": ("of 16 bits, scaled to 8",),
        "numbers.tif": ("of floating-point numbers, scaled to 8 bits",),
        "clear.png": ("with transparent parts, laid on white", "converted to gray"),
        "turned.png": ("turned as their camera noted (EXIF)",),
        "large.png": ("resized from 56 x 56 to 28 x 28",),
    }


def test_the_prediction_is_the_one_that_replicates_recorded(digits, tmp_path):
    results, data = digits
    files = []
    for number in range(20):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(data.test.images[number, ..., 0]).save(files[-1])
    arrays = np.load(results / "small" / "replicates" / "tuned" / "5" / "arrays.npz")
    found = hw2tune.predict("small", files, seed=5, results_dir=results).images
    assert [one.label for one in found] == [data.info.classes[k] for k in arrays["predicted"][:20]]
    np.testing.assert_allclose([one.confidence for one in found], arrays["confidence"][:20], atol=1e-5)


def test_a_gray_image_has_three_channels_for_a_network_of_colours(colours, digit, tmp_path):
    Image.fromarray(digit).save(tmp_path / "gray.png")
    (one,) = hw2tune.predict("small", tmp_path / "gray.png", results_dir=colours[0]).images
    assert one.notes == ("resized from 28 x 28 to 32 x 32", "gray, in three channels")
    assert one.label in colours[1].info.classes


def test_deep_pixels_are_scaled_as_those_of_the_training_were(digits, digit, tmp_path):
    results = shutil.copytree(digits[0], tmp_path / "results")
    record = results / "small" / "dataset.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"white": {"integers": 4095.0}}))
    twelve = np.ceil(digit.astype(float) * 4095 / 255).astype(np.uint16)
    for name, pixels in {"eight": digit, "twelve": twelve, "brighter": twelve * 2}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in ("eight", "twelve", "brighter")]
    eight, same, brighter = hw2tune.predict("small", files, results_dir=results).images
    assert same.probabilities == pytest.approx(eight.probabilities, abs=1e-6)
    assert same.notes == ("of 12 bits, scaled to 8",)
    assert brighter.notes == ("of 12 bits, scaled to 8; brighter pixels became white",)


def test_what_cannot_be_read_is_said_and_the_others_are_predicted(digits, digit, tmp_path):
    files = write(tmp_path, digit)
    (tmp_path / "cut.png").write_bytes(files["gray.png"].read_bytes()[:200])
    (tmp_path / "text.png").write_text("no image")
    names = ("cut.png", "text.png", "gone.png", ".", "gray.png")
    shown = subprocess.run(
        [sys.executable, "-m", "hw2tune", "predict", "small", *names, "--top", "2", "--results-dir", digits[0]],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert shown.returncode == 1
    errors = shown.stderr.splitlines()
    assert [line.split(": ")[1] for line in errors] == list(names[:-1])
    assert errors[0].startswith("hw2tune: cut.png: cannot be read as an image (")
    assert (
        errors[1]
        == "hw2tune: text.png: cannot be read as an image (not an image of PNG, JPEG, GIF, WEBP, BMP, TIFF, AVIF, PPM)"
    )
    assert errors[2:] == ["hw2tune: gone.png: no such file", "hw2tune: .: is a folder; name the images in it"]
    (expected,) = hw2tune.predict("small", files["gray.png"], results_dir=digits[0]).images
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:3] == ["tuned,", "seed", "4,"]
    assert lines[2] == ["gray.png", expected.label, f"{100 * expected.confidence:.2f}", "%"]
    assert len(lines) == 4  # two classes of the one image


def test_json_holds_errors_too(digits, digit, tmp_path):
    write(tmp_path, digit)
    shown = subprocess.run(
        [sys.executable, "-m", "hw2tune", "predict", "small", "gray.png", "gone.png", "--json", "--results-dir",
         digits[0]],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert shown.returncode == 1
    content = json.loads(shown.stdout)
    assert (content["study"], content["training"]) == ("small", "tuned, seed 4")
    first, second = content["images"]
    assert first["class"] == first["top"][0]["class"] and 0 < first["confidence"] <= 1 and first["notes"] == []
    assert second == {"file": "gone.png", "error": "no such file"}


def test_a_picture_that_is_too_large_to_be_meant_is_said(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (50, 50)).save(tmp_path / "bomb.png")
    (one,) = hw2tune.predict("small", tmp_path / "bomb.png", results_dir=digits[0]).images
    assert "cannot be read as an image (Image size (2500 pixels) exceeds limit" in one.error


def test_a_study_behind_a_url_lends_the_one_checkpoint_that_is_needed(colours, digit, tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    Image.fromarray(digit).save(tmp_path / "gray.png")
    found = [
        hw2tune.predict("small", tmp_path / "gray.png", trial=1, results_dir=results).images[0].probabilities
        for results in (colours[0], f"file://{colours[0]}")
    ]
    assert found[0] == found[1]
    fetched = {(path.parent.name, path.name) for path in (tmp_path / "cache").rglob("trials/*/*.??[tz]")}
    assert fetched == {("1", "best.npz")}


def test_one_image_alone_is_predicted_as_among_others_by_a_network_that_squeezes(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, num_classes):\n"
        "        super().__init__()\n        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, num_classes)\n\n"
        "    def forward(self, x):\n        x = nn.functional.adaptive_avg_pool2d(self.conv(x).relu(), 1)\n"
        "        return self.head(x.squeeze())\n"
    )
    _, data = write_trained_study(tmp_path, dataset="digits", model="net.py:Net", seeds=())
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        Image.fromarray(data.test.images[number, ..., 0]).save(file)
    together = hw2tune.predict("small", files, results_dir=tmp_path).images
    alone = [hw2tune.predict("small", file, results_dir=tmp_path).images[0] for file in files]
    assert [one.error for one in alone] == ["", "", ""]
    for one, other in zip(alone, together, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities)
