"""What is said of study files elsewhere: the schema for editors, the page, the files to begin with."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import Hw2tuneError
from hw2tune.study.documentation import PAGE, SCHEMA, json_schema, page
from hw2tune.study.file import parse_study
from hw2tune.study.shipped import shipped_studies
from tests.study.test_own_study import OWN

DOCS = Path(__file__).parents[2] / "docs"


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
    assert run("new", "mine") == "mine.toml and mine_net.py written; `hw2tune check mine.toml` looks it over\n"
    assert "all checks passed" in run("check", "mine.toml")
    with pytest.raises(Hw2tuneError, match=r"mine.toml: is there already; take another name, or move it away"):
        run("new", "mine")


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
