"""The exported network predicts as hw2tune does, loaded as others load it, and says what it is."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hw2tune
from hw2tune.data.dataset import Dataset, Split
from hw2tune.errors import Hw2tuneError, ModelError, PathError, StudyFolderError
from hw2tune.export.trained import find_model
from hw2tune.records.arrays import write_npz
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import ReplicatesFolder, read_arrays, read_replicates
from hw2tune.report.configurations import params_of
from hw2tune.report.study_data import read_study_data
from hw2tune.train.device import on_device
from hw2tune.train.loop import predict
from tests.export.trained_study import write_trained_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of onnxscript, when it is imported
CPU = torch.device("cpu")


def thousand(data: Dataset) -> np.ndarray:
    """1,000 images (N, H, W, C): test and validation images, filled up with noise."""
    images = np.concatenate([data.test.images, data.validation.images])[:1000]
    noise = np.random.default_rng(0).integers(0, 256, (1000 - len(images), *images.shape[1:]), dtype=np.uint8)
    return np.concatenate([images, noise])


def ours(results: Path, data: Dataset, images: np.ndarray, **which) -> np.ndarray:
    """Probabilities (N, K), as hw2tune evaluates."""
    model = find_model(results, "small", **which)
    split = Split(images=images, labels=np.zeros(len(images), np.int64))
    return predict(model.network(), on_device(split, data.info, CPU)).softmax(1).numpy()


def theirs(file: Path, images: np.ndarray) -> np.ndarray:
    """The same from a file, by its library and nothing of ours."""
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if file.suffix == ".onnx":
        import onnxruntime

        return onnxruntime.InferenceSession(file).run(None, {"pixels": pixels})[0]
    if file.suffix == ".pt2":
        return torch.export.load(file).module()(torch.from_numpy(pixels)).numpy()
    spec = importlib.util.spec_from_file_location("network_of_a_test", file.with_name(f"{file.stem}_network.py"))
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
        return module.load()(torch.from_numpy(pixels)).detach().numpy()
    finally:
        sys.path[:] = before


def agree(results: Path, data: Dataset, suffix: str, place: Path) -> hw2tune.export.write.ExportedModel:
    exported = hw2tune.export_model("small", place / f"model{suffix}", results_dir=results)
    images = thousand(data)
    want, got = ours(results, data, images), theirs(exported.file, images)
    assert got.shape == want.shape == (1000, len(data.info.classes))
    assert (want.argmax(1) == got.argmax(1)).all()
    assert np.abs(want - got).max() < 1e-5
    assert len(np.unique(want.argmax(1))) > 3  # it has learned something to be the same in
    np.testing.assert_allclose(theirs(exported.file, images[:1]), got[:1], atol=1e-5)  # any number of images
    assert exported.check.same == exported.check.images and exported.check.difference < 1e-5
    return exported


def run_script(exported: hw2tune.export.write.ExportedModel, argument: Path) -> list[tuple[str, float]]:
    """What the script prints, where hw2tune cannot be imported."""
    without = exported.file.parent / "without"
    without.mkdir(exist_ok=True)
    (without / "hw2tune.py").write_text("raise ImportError('hw2tune must not be needed')\n")
    shown = subprocess.run(
        [sys.executable, exported.script, argument], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(without)},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    lines = [line.rsplit(maxsplit=2) for line in shown.stdout.splitlines()]
    return [(label, float(percent)) for label, percent, _ in lines]


def script_agrees(results: Path, data: Dataset, exported: hw2tune.export.write.ExportedModel) -> None:
    """On an image of another size and mode."""
    image = exported.file.with_name("image.png")
    pixels = data.test.images[7]
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).resize((90, 70)).convert("RGBA").save(image)
    (expected,) = hw2tune.predict("small", image, results_dir=results).images
    shown = run_script(exported, image)
    assert [label for label, _ in shown] == list(expected.probabilities)[:3]
    for (_, percent), probability in zip(shown, expected.probabilities.values(), strict=False):
        assert percent == pytest.approx(100 * probability, abs=0.011)
    assert len(exported.script.read_text().splitlines()) <= 15
    deep = exported.file.with_name("deep.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(deep)
    refused = subprocess.run([sys.executable, exported.script, deep], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, "convert it to 8 bits a channel first\n")


@pytest.mark.parametrize("suffix", [pytest.param(".pt2", marks=pytest.mark.matrix), ".onnx", ".safetensors"])
def test_the_mnist_network_predicts_the_same_in_every_format_and_by_its_script(digits, suffix, tmp_path):
    exported = agree(*digits, suffix, tmp_path)
    assert exported.model.name == "tuned, seed 4"
    script_agrees(*digits, exported)
    folder = ReplicatesFolder.of(StudyFolder(digits[0] / "small"))
    recorded, got = read_arrays(folder, "tuned", 4), theirs(exported.file, digits[1].test.images)
    assert (recorded["predicted"] == got.argmax(1)).all()
    np.testing.assert_allclose(recorded["confidence"], got.max(1), atol=1e-5)


@pytest.mark.matrix
@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ".safetensors"])
def test_the_cifar_network_does_so_from_the_best_trial_where_there_are_no_replicates(colours, suffix, tmp_path):
    exported = agree(*colours, suffix, tmp_path)
    assert exported.model.name.startswith("trial ")
    assert "test accuracy | not known" in exported.card.read_text()
    script_agrees(*colours, exported)


@pytest.mark.parametrize(
    "suffix", [".safetensors", *(pytest.param(one, marks=pytest.mark.matrix) for one in (".pt2", ".onnx"))]
)
def test_a_network_of_the_users_own_does_so_and_its_code_travels_with_bare_weights(own, suffix, tmp_path):
    exported = agree(*own, suffix, tmp_path)
    script_agrees(*own, exported)
    names = [path.relative_to(tmp_path).as_posix() for path in exported.code]
    expected = ["model_network.py", "model_code/net.py", "model_code/layers.py"]
    assert sorted(names) == (sorted(expected) if suffix == ".safetensors" else [])


@pytest.mark.matrix
@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ".safetensors"])
def test_an_installed_network_does_so(tmp_path, suffix):
    _, data = write_trained_study(
        tmp_path, dataset="synthetic-cifar10", model="torchvision.models:squeezenet1_1", epochs=3, rate=3e-4,
        large=6e-4, seeds=(),
    )  # fmt: skip
    exported = hw2tune.export_model("small", tmp_path / f"model{suffix}", results_dir=tmp_path)
    images = thousand(data)
    want, got = ours(tmp_path, data, images), theirs(exported.file, images)
    assert np.abs(want - got).max() < 1e-5
    script_agrees(tmp_path, data, exported)
    assert ("torchvision" in exported.script.read_text()) == (suffix == ".safetensors")


def test_a_variant_a_seed_and_a_trial_can_be_asked_for(digits):
    results, _ = digits
    assert find_model(results, "small").name == "tuned, seed 4"
    assert find_model(results, "small", variant="baseline", seed=5).name == "baseline, seed 5"
    assert find_model(results, "small", trial=1).name == "trial 1 (large)"
    best = find_model(results, "small", variant="best")
    study = hw2tune.read_study("small", results_dir=results)
    assert best.trial.number == study.best.number and best.epoch == study.best.best_epoch
    assert find_model(results, "small", variant="large").name == "trial 1 (large)"  # it has no replicates


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ({"variant": "nope"}, "small: no weights of a variant `nope`; there are best, baseline, tuned and large"),
        (
            {"seed": 9},
            "small: no replicate of `tuned` on seed 9; finished are 4 and 5; `hw2tune summarize small` trains",
        ),
        ({"variant": "large", "seed": 4}, "no replicate of `large` on seed 4; it has no replicates"),
        ({"trial": 7}, "small: no trial 7; it has 2 trials, from 0 on"),
        ({"trial": 1, "variant": "tuned"}, "trial 1: is one training; leave the variant and its seed out"),
    ],
)
def test_what_is_not_there_is_refused_in_words(digits, which, words):
    with pytest.raises(StudyFolderError, match=re.escape(words)):
        find_model(digits[0], "small", **which)


def test_damaged_weights_are_refused(tmp_path):
    folder, _ = write_trained_study(tmp_path, dataset="synthetic-mnist", seeds=(4,))
    weights = folder.trial(1).weights
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(StudyFolderError, match=r"best\.npz: the weights of trial 1 after epoch 1 are missing"):
        find_model(tmp_path, "small", trial=1)
    (ReplicatesFolder.of(folder).trainings / "key4" / "weights.npz").unlink()
    with pytest.raises(StudyFolderError, match="the weights of tuned on seed 4 are missing or damaged"):
        find_model(tmp_path, "small")


def test_nothing_that_is_there_is_overwritten_without_force(digits, tmp_path):
    target = tmp_path / "model.safetensors"
    (tmp_path / "model_network.py").write_text("mine")
    with pytest.raises(PathError, match=re.escape(f"{tmp_path}/model_network.py: is there already; --force replaces")):
        hw2tune.export_model("small", target, results_dir=digits[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model_network.py"]
    hw2tune.export_model("small", target, results_dir=digits[0], force=True)
    assert "class MnistCnn" in (tmp_path / "model_network.py").read_text()


def test_another_suffix_is_refused_with_those_that_there_are(digits, tmp_path):
    with pytest.raises(PathError, match=re.escape("`.h5` is none; write model.pt2 (torch.export), model.safetensors")):
        hw2tune.export_model("small", tmp_path / "model.h5", results_dir=digits[0])


def test_the_card_says_what_it_is_how_good_and_where_from(digits, tmp_path):
    exported = hw2tune.export_model("small", tmp_path / "my model.safetensors", results_dir=digits[0])
    card, data = exported.card.read_text(), digits[1]
    variants = hw2tune.read_study("small", results_dir=digits[0]).variants.set_index("variant").loc["tuned"]
    interval = f"{100 * max(variants.test_low, 0):.2f} to {100 * min(variants.test_high, 1):.2f}"  # of two seeds
    own = exported.model.replicate.chosen.accuracy
    for words in (
        f"test accuracy of these weights, 500 images | {100 * own:.2f} %",
        f"test accuracy of tuned, mean of 2 seeds | {100 * variants.test_accuracy:.2f} %, 95 % interval {interval}",
        "the winner of the search, trial 0, by a race on validation images", data.checksum, data.split_checksum,
        "4,000 train, 500 validation, 500 test", "shape (N, 1, 28, 28), gray, any N", "mean 0; std 1",
        "| `learning_rate` | `0.002` |", "python my_model_safetensors.py IMAGE", "torch 2.",
    ):  # fmt: skip
        assert words in card, words
    for path in (exported.file, exported.script, *exported.code):
        assert f"| `{path.name}` | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |" in card
    script_agrees(*digits, exported)


def test_a_configuration_that_overrides_training_with_a_default_is_shown_as_it_was_trained(tmp_path):
    """replicate.json leaves out what is at its default: `[training]` must not fill that in."""
    folder, _ = write_trained_study(
        tmp_path, dataset="synthetic-mnist", seeds=(4,), training='schedule = "cosine"\naugment = "flip"',
        baseline='schedule = "constant"\naugment = "none"',
        claims='[[claims]]\na = "tuned"\nb = { with = { weight_decay = 0.1 } }',
    )  # fmt: skip
    assert "schedule" not in read_replicates(ReplicatesFolder.of(folder))[0].params
    exported = hw2tune.export_model("small", tmp_path / "model.safetensors", results_dir=tmp_path)
    used = exported.model.hyperparameters
    assert (used.schedule, used.augment) == ("constant", "none")
    assert "cosine" not in exported.card.read_text() and "flip" not in exported.card.read_text()
    assert find_model(tmp_path, "small", trial=0).hyperparameters == used  # the trial of the reference
    assert find_model(tmp_path, "small", trial=1).hyperparameters.schedule == "cosine"
    data = read_study_data(folder)
    assert data.damaged == [] and data.race is not None  # the winner is what the replicates of tuned are
    (with_decay,) = [name for name in data.overview.study.variants if name != "tuned"]
    for known in (data, replace(data, replicates=[])):  # by its replicates, and by the race
        assert not {"schedule", "augment"} & params_of(known, with_decay).keys()


def test_the_file_itself_knows_its_classes(colours, tmp_path):
    from safetensors import safe_open

    exported = hw2tune.export_model("small", tmp_path / "model.safetensors", results_dir=colours[0])
    with safe_open(exported.file, "np") as file:
        assert json.loads(file.metadata()["classes"]) == list(colours[1].info.classes)
        assert set(file.keys()) == set(find_model(colours[0], "small").network().state_dict())


def test_a_network_that_draws_when_it_predicts_is_not_exported(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(784, 10)\n"
        "    def forward(self, x):\n        x = x.flatten(1)\n        return self.head(x + torch.randn_like(x))\n"
    )
    write_trained_study(tmp_path / "r", dataset="synthetic-mnist", model="net.py:Noisy", seeds=(), beside=tmp_path)
    with pytest.raises(ModelError, match=r"not written, as its probabilities differ .* does net\.py:Noisy draw random"):
        hw2tune.export_model("small", tmp_path / "out" / "model.safetensors", results_dir=tmp_path / "r")
    assert not (tmp_path / "out").exists()


PERMUTED = """
import random
import torch
from torch import nn

SIGNS = torch.randn(3072).sign()

class Permuted(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.order = torch.randperm(3072)
        self.first = random.randrange(3072)
        self.head = nn.Linear(3072, num_classes)

    def forward(self, x):
        x = (x.flatten(1) * SIGNS)[:, self.order]
        return self.head(x + x[:, self.first : self.first + 1])
"""


@pytest.fixture(scope="module")
def permuted(tmp_path_factory):
    """A study of a network that draws in its constructor, and while it is imported, what is in no state_dict."""
    place = tmp_path_factory.mktemp("permuted")
    (place / "net.py").write_text(PERMUTED)
    _, data = write_trained_study(
        place / "r", dataset="synthetic-cifar10", model="net.py:Permuted", epochs=3, seeds=(4,), beside=place
    )  # fmt: skip
    return place / "r", data


@pytest.mark.parametrize(
    "suffix", [".safetensors", *(pytest.param(one, marks=pytest.mark.matrix) for one in (".pt2", ".onnx"))]
)
def test_a_network_with_numbers_outside_of_its_state_dict_predicts_as_it_was_tested(permuted, suffix, tmp_path):
    exported = agree(*permuted, suffix, tmp_path)
    recorded = read_arrays(ReplicatesFolder.of(StudyFolder(permuted[0] / "small")), "tuned", 4)
    got = theirs(exported.file, permuted[1].test.images)
    assert (recorded["predicted"] == got.argmax(1)).all()
    np.testing.assert_allclose(recorded["confidence"], got.max(1), atol=1e-5)
    script_agrees(*permuted, exported)


def test_a_network_that_was_tested_with_other_numbers_is_not_exported(permuted, tmp_path):
    """As versions did that drew them anew for the test."""
    results = tmp_path / "r"
    shutil.copytree(permuted[0], results)
    place = ReplicatesFolder.of(StudyFolder(results / "small"))
    folder = place.replicate("tuned", 4)
    arrays = read_arrays(place, "tuned", 4)
    write_npz(folder / "arrays.npz", arrays | {"confidence": 1 - arrays["confidence"]})
    target = tmp_path / "out" / "model.safetensors"
    with pytest.raises(ModelError) as refused:
        hw2tune.export_model("small", target, results_dir=results)
    assert re.fullmatch(
        f"{re.escape(str(target))}: not written, as its probabilities differ by up to [0-9.]+ from those of the "
        f"test, which are kept in {re.escape(str(folder))}; an earlier version tested it with other random numbers, or "
        "its code or a package is another now: remove that folder and run `hw2tune summarize small`, which tests the "
        "weights again",
        str(refused.value),
    )
    assert not target.parent.exists()
    exported = hw2tune.export_model("small", target, results_dir=results, trial=0)
    assert exported.check.kind == "test images"  # a trial was not tested


VIEW = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], 4, 3, padding=1)
        self.head = nn.Linear(4 * 16 * 16, num_classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv(x).relu(), 2)
        return self.head(x.view(x.size(0), -1))

class Compiled(nn.Module):  # as torch.compile wraps a network, without the half minute that importing it takes
    def __init__(self, inner):
        super().__init__()
        self._orig_mod = inner

    def forward(self, x):
        return self._orig_mod(x)

def build(input_shape, num_classes):
    return Compiled(Net(input_shape, num_classes))
"""


@pytest.mark.parametrize("model", ["net.py:Net", "net.py:build"])
def test_the_module_beside_bare_weights_loads_what_training_takes(tmp_path, model):
    """`view` over channels and pixels, which refuses channels_last, and a network of torch.compile."""
    (tmp_path / "net.py").write_text(VIEW)
    _, data = write_trained_study(
        tmp_path / "r", dataset="synthetic-cifar10", model=model, epochs=2, seeds=(), beside=tmp_path
    )  # fmt: skip
    exported = hw2tune.export_model("small", tmp_path / "model.safetensors", results_dir=tmp_path / "r")
    images = thousand(data)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)  # in channels_last, as the script gives them
    spec = importlib.util.spec_from_file_location("network_of_a_test", tmp_path / "model_network.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
        got = module.load()(pixels).detach().numpy()
    finally:
        sys.path[:] = before
    np.testing.assert_allclose(got, ours(tmp_path / "r", data, images), atol=1e-5)
    np.testing.assert_allclose(theirs(exported.file, images), got, atol=1e-5)


def test_a_module_that_fails_beside_bare_weights_is_not_written(tmp_path):
    """The network asks for a module that is there in training alone."""
    (tmp_path / "net.py").write_text(
        "import sys\nfrom torch import nn\ndef net():\n"
        "    if 'hw2tune' not in sys.modules:\n        raise RuntimeError('nobody trains here')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    write_trained_study(tmp_path / "r", dataset="synthetic-mnist", model="net.py:net", seeds=(), beside=tmp_path)
    target = tmp_path / "out" / "model.safetensors"
    with pytest.raises(ModelError) as refused:
        hw2tune.export_model("small", target, results_dir=tmp_path / "r")
    assert str(refused.value) == (
        f"{target}: not written, as the module beside it fails on net.py:net (RuntimeError: nobody trains here); --to "
        "model.pt2 exports the graph, which needs no code"
    )
    assert not target.parent.exists()


def test_code_that_is_gone_is_said(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    folder, _ = write_trained_study(
        tmp_path / "r", dataset="synthetic-mnist", model="net.py:net", seeds=(), beside=tmp_path
    )  # fmt: skip
    (folder.code / "net.py").unlink()
    with pytest.raises(Hw2tuneError, match=r"net\.py:net: cannot be built with these weights"):
        hw2tune.export_model("small", tmp_path / "model.pt2", results_dir=tmp_path / "r")


def test_images_of_floats_keep_all_their_digits(tmp_path):
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    random = np.random.default_rng(0)\n"
        "    def part(n):\n"
        "        labels = random.integers(0, 3, n)\n"
        "        images = random.random((n, 8, 8, 2)) / 2 + labels[:, None, None, None] / 6\n"
        "        return images.astype('float32'), labels\n"
        "    return {'train': part(300), 'test': part(60), 'classes': ['a', 'b', 'c']}\n"
    )
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(128, 3))\n"
    )
    _, data = write_trained_study(
        tmp_path / "r", dataset="data.py:load", model="net.py:net", epochs=3, seeds=(4,), beside=tmp_path
    )  # fmt: skip
    exported = hw2tune.export_model("small", tmp_path / "model.pt2", results_dir=tmp_path / "r")
    want = ours(tmp_path / "r", data, data.test.images)
    np.testing.assert_allclose(theirs(exported.file, data.test.images), want, atol=1e-6)
    np.save(tmp_path / "pixels.npy", data.test.images[0].transpose(2, 0, 1))
    shown = run_script(exported, tmp_path / "pixels.npy")
    assert shown[0][1] == pytest.approx(100 * want[0].max(), abs=0.011)
    assert "float32, 0 to 1, shape (N, 2, 8, 8), 2 channels" in exported.card.read_text()


@pytest.mark.parametrize(("suffix", "module"), [(".safetensors", "safetensors.numpy"), (".onnx", "onnxscript")])
def test_a_missing_package_is_said_with_the_extra_that_brings_it(digits, tmp_path, monkeypatch, suffix, module):
    monkeypatch.setitem(sys.modules, module, None)
    package = module.partition(".")[0]
    with pytest.raises(
        Hw2tuneError, match=re.escape(f"needs {package}: pip install '.[export]' in hw2tune's checkout")
    ):
        hw2tune.export_model("small", tmp_path / f"model{suffix}", results_dir=digits[0])
    assert list(tmp_path.iterdir()) == []
