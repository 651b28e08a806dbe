"""What is said of study files elsewhere: the schema for editors, the page, the files to begin with."""

import json
import tempfile
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import Hw2tuneError
from hw2tune.study.documentation import PAGE, SCHEMA, json_schema, page
from hw2tune.study.file import parse_study
from hw2tune.study.names import shipped_studies
from hw2tune.study.schema import NAME_PATTERN
from hw2tune.study.template import new_files
from tests.study.test_own_study import OWN

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_schema_and_page_in_docs_are_those_that_the_code_makes():
    for name, made in ((SCHEMA, json_schema()), (PAGE, page())):
        assert (DOCS / name).read_text() == made, f"`uv run python -m hw2tune.study.documentation` writes {name} anew"


def test_every_study_that_is_shipped_names_the_schema_and_meets_it():
    schema = json.loads(json_schema())
    for path in shipped_studies().values():
        first, _, rest = path.read_text().partition("\n")
        assert first == f"#:schema ../docs/{SCHEMA}"
        jsonschema.validate(tomllib.loads(rest), schema)
    jsonschema.validate(tomllib.loads(OWN), schema)


@pytest.mark.parametrize(
    "wrong", ["trails = 3", 'max_epochs = "5"', "[pruner]\nmin_epoch = 1", '[space.learning_rate]\nlow = "a"\nhigh = 1']
)
def test_what_is_wrong_is_wrong_for_an_editor_as_well(wrong):
    good = 'name = "a"\ndataset = "digits"\nmodel = "mnist_cnn"\nspace = {}\n'
    with pytest.raises(jsonschema.ValidationError):
        text = good.replace("space = {}\n", "") + wrong if wrong.startswith("[space") else wrong + "\n" + good
        jsonschema.validate(tomllib.loads("max_epochs = 3\n" * ("max_epochs" not in wrong) + text
                                          if not wrong.startswith("[pruner") else "max_epochs = 3\n" + good + wrong),
                            json.loads(json_schema()))  # fmt: skip


def test_the_page_names_every_key_and_every_hyperparameter():
    from hw2tune.study.hyperparameters import HYPERPARAMETERS
    from hw2tune.study.schema import Study

    for name in [*Study.model_fields, *HYPERPARAMETERS]:
        assert f"`{name}`" in page() or name == "code"


def run(*arguments: str) -> str:
    ended = CliRunner().invoke(app, arguments)
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.output


def test_a_new_study_passes_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = "3d-pets.toml and _3d_pets_net.py written; `hw2tune check 3d-pets.toml` looks it over\n"
    assert run("new", "3d-pets") == written
    assert "all checks passed" in run("check", "3d-pets.toml")
    with pytest.raises(Hw2tuneError, match=r"3d-pets.toml: is there already; take another name, or move it away"):
        run("new", "3d-pets")


@example("2024-run")
@example("class")
@example("numpy")
@example("torch.net")
@settings(deadline=None)
@given(st.from_regex(NAME_PATTERN, fullmatch=True).map(str.strip))
def test_whatever_a_new_study_is_called_its_files_are_sound(name):
    with tempfile.TemporaryDirectory() as folder:
        for file, text in new_files(name).items():
            Path(folder, file).write_text(text)
        study = parse_study(Path(folder, f"{name}.toml").read_text(), f"{folder}/{name}.toml")
    assert study.name == name and ROOT.as_posix() not in new_files(name)[f"{name}.toml"]


@example('say "cheese"')
@example("back\\slash")
@example("~")
@example("é" * 128)  # 256 bytes, more than a folder's name may have
@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="/:\0", exclude_categories=["Cs"]), min_size=1))
def test_whatever_a_folder_of_images_is_called_the_new_study_names_it(images):
    study = parse_study(new_files("own", images=f"./{images}")["own.toml"], "/there/own.toml", missing_code_ok=True)
    assert study.dataset == str(Path("/there", images))


@pytest.mark.parametrize(
    ("folders", "shares"),
    [
        (["0", "1"], (0.2, 0.1)), (["Train/0", "Train/1", "TEST/0"], (None, 0.1)),
        (["train/0", "train/1", "val/0"], (0.2, None)), (["train/0", "valid/0", "test/0"], (None, None)),
    ],
)  # fmt: skip
def test_a_new_study_asks_for_shares_of_what_has_no_folder(folders, shares, tmp_path):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    text = new_files("own", images=str(tmp_path))["own.toml"]
    study = parse_study(text, "own.toml", missing_code_ok=True)
    assert (study.test_share, study.validation_size) == shares
    with pytest.raises(Hw2tuneError, match=r"^own.toml: model: no model 'resnet'"):
        new_files("own", images=str(tmp_path), model="resnet")


def test_a_new_study_takes_over_what_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("new", "like", "--from", "mnist").startswith("like.toml written")
    study = parse_study((tmp_path / "like.toml").read_text(), "like.toml")
    assert (study.name, study.dataset, list(study.references)) == ("like", "mnist", ["baseline", "l2"])
    (tmp_path / "pictures" / "train").mkdir(parents=True)
    run("new", "own", "--images", "pictures", "--model", "torchvision.models:resnet18")
    study = parse_study((tmp_path / "own.toml").read_text(), "own.toml")
    assert (study.dataset, study.model) == (str(tmp_path / "pictures"), "torchvision.models:resnet18")
    for wrong, said in (
        (("../x",), "../x: a name is of 1 to 64 letters"),
        (("x", "--from", "imagenet"), "--from imagenet: hw2tune ships cifar10, "),
        (("x", "--from", "mnist", "--images", "y"), "--from takes data and network over"),
    ):
        with pytest.raises(Hw2tuneError, match=said):
            run("new", *wrong)
