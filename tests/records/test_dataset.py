"""One study has one set of images: what they are is recorded, and others under the same name are refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hw2tune
from hw2tune.api import check_study
from hw2tune.data.dataset import Dataset, checksum
from hw2tune.data.load import load_dataset
from hw2tune.data.own import OwnOptions
from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution.request import Connection, Request, load_for
from hw2tune.records.dataset import read_dataset, record_of, refuse_other_images
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.opening import opened
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.replication.studies import replicate_studies
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import parse_study
from tests.export.trained_study import write_trained_study

STUDY = """
name = "mine"
dataset = "{dataset}"
model = "mnist_cnn"
max_epochs = 1
trials = 4
validation_size = 0.2
space = {{ learning_rate = 0.1, batch_size = [8, 16], optimizer = "sgd" }}
"""


def write_images(folder, count, seed=0):
    random = np.random.default_rng(seed)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            Image.fromarray(random.integers(0, 255, (28, 28)).astype(np.uint8)).save(folder / name / f"{n}.png")


def begin(place, dataset, more=""):
    """A study that has begun, without a trial yet, and its file."""
    file = place / "mine.toml"
    file.write_text(more + STUDY.format(dataset=dataset))
    study = parse_study(file.read_text(), str(file))
    with opened(place / "r", study, load_for(study, None, Listeners())) as folder:
        create_optuna_study(folder, study)
    return file, folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def grown(tmp_path):
    """A study on 60 images of which there are 120 now."""
    write_images(tmp_path / "imgs", 30)
    begun = begin(tmp_path, "./imgs", "test_share = 0.2\n")
    write_images(tmp_path / "imgs", 60)
    return begun


OTHER = (
    "mine: its trials had other images (imgs (60 images) -> imgs (120 images); train: 38 -> 77 images; "
    "validation: 10 -> 19 images; test: 12 -> 24 images); put the images back, or run `hw2tune study` with another "
    "--name or with --fresh"
)


def test_check_and_study_refuse_images_that_were_added(grown):
    file, folder = grown
    results = folder.root.parent
    request = Request(study=str(file), results=results)
    for command in (lambda: check_study(request), lambda: hw2tune.run_study(file, results_dir=results)):
        with pytest.raises(StudyFolderError) as refused:
            command()
        assert str(refused.value).endswith(OTHER)


def test_another_name_or_fresh_takes_the_new_images(grown):
    file, folder = grown
    study = parse_study(file.read_text(), str(file))
    data = load_for(study, None, Listeners())
    with opened(folder.root.parent, study.model_copy(update={"name": "other"}), data):
        pass
    with opened(folder.root.parent, study, data, fresh=True):
        assert read_dataset(folder) == record_of(data)
    (aside,) = folder.root.parent.glob("set-aside/mine.*")
    assert json.loads((aside / "dataset.json").read_text())["sizes"] == {"train": 38, "validation": 10, "test": 12}


def test_a_study_of_an_earlier_version_is_known_by_the_checksums_of_its_last_run(grown):
    file, folder = grown
    then = read_dataset(folder)
    noted = {"name": then.label, "checksum": then.checksum, "split_checksum": then.split_checksum}
    add_run(folder, print, data=noted)
    folder.datasets[0].unlink()
    with pytest.raises(StudyFolderError, match=r"other images \(imgs \(60 images\) -> imgs \(120 images\)\); put"):
        check_study(Request(study=str(file), results=folder.root.parent))
    write_images(file.parent / "imgs", 0)
    for path in file.parent.glob("imgs/*/*.png"):
        if int(path.stem) >= 30:
            path.unlink()
    write_images(file.parent / "imgs", 30)
    refuse_other_images(folder, load_for(parse_study(file.read_text(), str(file)), None, Listeners()))


def test_a_study_whose_images_version_0_1_scaled_each_by_itself_is_told_so(tmp_path):
    """Its records hold a checksum of pixels that this version does not make of the same files."""
    write_images(tmp_path / "imgs", 30)
    Image.fromarray(np.arange(784, dtype=np.uint16).reshape(28, 28)).save(tmp_path / "imgs" / "a" / "0.png")
    file, folder = begin(tmp_path, "./imgs", "test_share = 0.2\n")
    add_run(folder, print, data={"name": read_dataset(folder).label, "checksum": "sha256:1", "split_checksum": ""})
    folder.datasets[0].unlink()
    with pytest.raises(StudyFolderError) as refused:
        check_study(Request(study=str(file), results=folder.root.parent))
    assert str(refused.value).endswith(
        "mine: its trials had images of more than 8 bits, each scaled by its own largest pixel (version 0.1), and they "
        "have one scale now; run `hw2tune study` with another --name or with --fresh"
    )


def test_a_function_that_draws_other_images_each_time_is_named(tmp_path):
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    part = lambda n: (np.random.randint(0, 255, (n, 28, 28)).astype('uint8'), np.arange(n) % 2)\n"
        "    return {'train': part(40), 'test': part(10), 'classes': ['a', 'b']}\n"
    )
    file, folder = begin(tmp_path, "data.py:load")
    with pytest.raises(StudyFolderError) as refused:
        check_study(Request(study=str(file), results=folder.root.parent))
    assert "(`data.py:load` must return the same images each time: seed what it draws), or run" in str(refused.value)


GIVEN = """
import numpy as np
def load():
    random = np.random.default_rng(0)
    part = lambda n: (random.integers(0, 255, (n, 8, 8)).astype("uint8"), np.arange(n) % 2)
    return {"train": part(40), "test": part(10), "validation": part(10), "classes": ["a", "b"]}
"""


def given_validation(text=GIVEN) -> Dataset:
    return load_dataset("data.py:load", own=OwnOptions(code={"data.py": text}))


@settings(deadline=None, max_examples=30)
@given(
    split=st.sampled_from(["train", "validation", "test"]), image=st.integers(0, 9), row=st.integers(0, 7),
    level=st.integers(1, 255), label=st.booleans(),
)  # fmt: skip
def test_one_other_pixel_or_label_of_any_split_is_another_data_set(split, image, row, level, label):
    text = GIVEN + (
        f"\nbefore = load\ndef load():\n    parts = before()\n    images, labels = parts['{split}']\n    "
        + (f"labels[{image}] ^= 1" if label else f"images[{image}, {row}, {row}] ^= {level}")
        + "\n    return parts\n"
    )
    now, then = given_validation(text), given_validation()
    assert (now.checksum, now.split_checksum) != (then.checksum, then.split_checksum)


def test_checksums_without_a_given_validation_are_those_of_version_0_1():
    text = GIVEN.replace('"validation": part(10), ', "")
    data = load_dataset("data.py:load", own=OwnOptions(code={"data.py": text}), validation_size=0.25)
    assert data.checksum == "sha256:25b264689f1bd8a36b5e9b42090b98fd8654adf8c03cb75376da52cf244128d2"
    assert data.split_checksum == "sha256:3d12731b94a8cb196ca4074d4014e589eb139c08607f875cd0633eb9c49c5465"


def test_a_given_validation_that_an_earlier_version_did_not_record_is_no_change(tmp_path):
    study = parse_study(STUDY.format(dataset="mnist-5k"), str(tmp_path / "mine.toml"))
    data, earlier = given_validation(), checksum(np.arange(0))
    with opened(tmp_path, study, replace(data, split_checksum=earlier)) as folder:
        create_optuna_study(folder, study)
    refuse_other_images(folder, data)
    with opened(tmp_path, study, data):
        pass
    other = given_validation(GIVEN.replace('"validation": part(10)', '"validation": part(20)'))
    with pytest.raises(StudyFolderError, match=r"validation: 10 -> 20 images\); put"):
        refuse_other_images(folder, other)


@pytest.mark.parametrize(
    ("classes", "told"), [(["a", "c"], r"classes: b, c\)"), (["b", "a"], r"classes: their order\)")]
)
def test_the_same_pixels_with_other_classes_are_refused(tmp_path, classes, told):
    study, data = parse_study(STUDY.format(dataset="mnist-5k"), str(tmp_path / "mine.toml")), given_validation()
    with opened(tmp_path, study, data) as folder:
        create_optuna_study(folder, study)
    with pytest.raises(StudyFolderError, match=told):
        refuse_other_images(folder, replace(data, info=replace(data.info, classes=tuple(classes))))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained study without replicates on a folder of images, and its data."""
    place = tmp_path_factory.mktemp("trained")
    write_images(place / "imgs" / "train", 40)
    write_images(place / "imgs" / "test", 10, seed=1)
    (place / "net.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))\n"
    )
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("HW2TUNE_CACHE", str(place / "cache"))
        _, data = write_trained_study(
            place / "r", dataset=str(place / "imgs"), model="net.py:net", seeds=(), beside=place
        )  # fmt: skip
    return place, data


def test_predict_and_export_of_a_trial_need_no_images(trained, tmp_path):
    place, data = trained
    image = shutil.copy(place / "imgs" / "test" / "a" / "3.png", tmp_path / "x.png")
    (place / "imgs").rename(place / "away")
    (found,) = hw2tune.predict("small", image, results_dir=place / "r").images
    assert found.label in data.info.classes and not found.error
    exported = hw2tune.export_model("small", tmp_path / "m.safetensors", results_dir=place / "r")
    assert "Classes: `a`, `b`" in exported.card.read_text()
    (place / "away").rename(place / "imgs")


def test_summarize_refuses_other_images_than_those_that_were_searched_on(trained):
    place, _ = trained
    write_images(place / "imgs" / "train", 41)
    arguments = {"replicates": 2, "race": 1, "data_dir": None, "tell": Listeners()}
    with pytest.raises(StudyFolderError, match=r"train: 72 -> 74 images\); put the images back"):
        replicate_studies(
            [StudyFolder(place / "r" / "small")], connection=Connection(ResourceRequest(), Listeners()), **arguments
        )
