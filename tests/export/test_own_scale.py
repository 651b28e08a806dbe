"""Arrays of the user's own on any scale: image files given to `predict` become pixels of the scale of the training."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

import hw2tune
from hw2tune.data.load import load_dataset
from hw2tune.data.own import OVERSHOOT, OwnOptions
from hw2tune.errors import DataError
from hw2tune.export.trained import find_model
from hw2tune.terminal.models import print_exported
from tests.export.trained_study import write_trained_study

DATA = """
import numpy as np
from sklearn.datasets import load_digits
def load():
    levels = load_digits().images  # 0 to 16
    images, labels = ({change}), load_digits().target
    train, test = (images[:400], labels[:400]), (images[400:500], labels[400:500])
    return {{"train": train, "test": test, "classes": "0123456789"}}
"""
NET = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"


def load(change):
    return load_dataset("data.py:load", own=OwnOptions(code={"data.py": DATA.format(change=change)}))


@pytest.mark.parametrize(
    ("change", "scale", "note"),
    [
        ("levels / 16", (0, 1), ""),
        ("(levels * 15.9375).astype('uint8')", (0, 255), ""),
        ("levels", (0, 16), "float32 images lie between 0 and 16: predict and export take 16 as white"),
        ("levels * 15.9375", (0, 255), "float32 images lie between 0 and 255: predict and export take 255 as white"),
        ("levels * 15", (0, 255), "float32 images lie between 0 and 240: predict and export take 255 as white"),
        ("levels / 160", (0, 1), "float32 images lie between 0 and 0.1: predict and export take 1 as white"),
        ("levels.astype('uint8')", (0, 255), "uint8 images lie between 0 and 16: predict and export take 255 as white"),
        ("levels / 15.5 - 0.01", (0, 1), ""),
        (
            "(levels - 4.5) / 6",
            (-0.75, 11.5 / 6),
            "float32 images lie between -0.75 and 1.91667: predict takes no image files, which have no values below 0; "
            "return 0 to 1",
        ),
    ],
)  # fmt: skip
def test_a_scale_that_is_not_the_usual_one_is_kept_and_said(change, scale, note):
    data = load(change)
    assert data.scale == pytest.approx(scale, abs=1e-6)
    assert data.notes == ((note,) if note else ())


@pytest.mark.parametrize("kind", ["int64", "float16", "bool"])
def test_pixels_of_another_type_are_refused_with_the_two_scales(kind):
    with pytest.raises(DataError, match=rf"uint8 \(0 to 255\) or float32 \(0 to 1\), but got {kind}\."):
        load(f"levels.astype('{kind}')")


@settings(deadline=None, max_examples=25)
@example(1.0625)
@given(st.floats(1e-3, 1e5))
def test_black_and_white_enclose_all_images_of_no_negative_value(largest):
    data = load(f"levels / 16 * {largest!r}")
    black, white = data.scale
    assert black == 0
    assert white >= np.float32(largest) / (1 + OVERSHOOT) * (1 - 1e-6)  # resampling overshoots a range a little
    assert white == 1 or white < 2.01 * largest


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory):
    """A study trained on floats from 0 to 16, as the library gives them, with replicates."""
    place = tmp_path_factory.mktemp("sixteen")
    (place / "data.py").write_text(DATA.format(change="levels"))
    (place / "net.py").write_text(NET)
    _, data = write_trained_study(
        place / "r", dataset="data.py:load", model="net.py:net", epochs=4, rate=0.02, large=0.03, seeds=(4,),
        beside=place,
    )  # fmt: skip
    return place, data


def test_files_are_predicted_on_the_scale_that_was_trained(sixteen):
    place, data = sixteen
    files = []
    for number in range(60):
        files.append(place / f"{number}.png")
        Image.fromarray(np.rint(data.train.images[number, ..., 0] * 255 / 16).astype(np.uint8)).save(files[-1])
    for trial in (None, 0):
        found = hw2tune.predict("small", files, trial=trial, results_dir=place / "r").images
        right = [one.label == str(label) for one, label in zip(found, data.train.labels, strict=False)]
        assert sum(right) > 50
    exported = hw2tune.export_model("small", place / "m.safetensors", results_dir=place / "r")
    card = exported.card.read_text()
    assert "float32, 0 to 16, shape (N, 1, 8, 8), gray" in card and "its levels 0 to 255 become 0 to 16" in card
    assert 'np.array(image, "float32")' in exported.script.read_text() and "/ 255 * 16" in exported.script.read_text()


def test_a_scale_that_an_earlier_version_did_not_record_is_read_from_the_images(sixteen, tmp_path):
    place, _ = sixteen
    shutil.copytree(place / "r", tmp_path / "r")
    record = tmp_path / "r" / "small" / "dataset.json"
    content = json.loads(record.read_text())
    assert content.pop("scale") == [0, 16]
    record.write_text(json.dumps(content))
    assert find_model(tmp_path / "r", "small").images.scale == (0, 16)
    record.write_text(json.dumps(content | {"mean": [0.3], "std": [0.4]}))  # as of images from 0 to 1
    assert find_model(tmp_path / "r", "small").images.black_and_white == (0, 1)


def test_example_images_of_the_report_show_all_levels(sixteen):
    place, data = sixteen
    gallery = find_model(place / "r", "small").data.gallery
    assert gallery is not None
    shown = np.rint(data.test.images[gallery.indices] * 255 / 16)
    np.testing.assert_array_equal(gallery.images, shown)


def test_no_file_is_predicted_by_a_network_of_images_below_0(tmp_path, capsys):
    (tmp_path / "data.py").write_text(DATA.format(change="(levels - 4.5) / 6"))
    (tmp_path / "net.py").write_text(NET)
    write_trained_study(tmp_path / "r", dataset="data.py:load", model="net.py:net", seeds=(), beside=tmp_path)
    with pytest.raises(DataError) as refused:
        hw2tune.predict("small", tmp_path / "x.png", results_dir=tmp_path / "r")
    assert str(refused.value) == (
        "small: its images lie between -0.75 and 1.91667, and no image file has values below 0; train on images from 0 "
        "to 1, or export the network and give it such arrays"
    )
    exported = hw2tune.export_model("small", tmp_path / "m.safetensors", results_dir=tmp_path / "r")
    used = f"python {exported.script.name} PIXELS.npy"
    assert used in exported.script.read_text() and f"```console\n{used}\n```" in exported.card.read_text()
    print_exported(exported, Console())
    assert capsys.readouterr().out.endswith(f"try it:   python {exported.script} PIXELS.npy\n")
    assert "No image file has such pixels." in exported.card.read_text()
    assert "np.load(sys.argv[1])" in exported.script.read_text()
