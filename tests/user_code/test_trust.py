"""A study file from somebody else: only commands that run studies call what it names, and only what is known."""

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
import torch
from torch import nn
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import Hw2tuneError, ModelError, StudyFileError
from hw2tune.events import Listeners
from hw2tune.execution.cluster import trust_variable
from hw2tune.execution.request import load_for
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.search.algorithms import build_pruner, build_sampler
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.metrics import metric_of
from hw2tune.train.models import build_model
from hw2tune.train.task import Blueprint
from hw2tune.user_code.importer import is_trusted, trusting
from tests.report.fake_study import write_fake_study

STRANGERS = """
from __future__ import annotations
from pathlib import Path
from torch import nn

def anything(**arguments):
    Path("trace").touch()
    return nn.Flatten()

def annotated(**arguments) -> nn.Module:
    return nn.Flatten()

class Network(nn.Flatten):
    def __init__(self, **arguments):
        super().__init__()
"""


@pytest.fixture(autouse=True)
def strangers(tmp_path, monkeypatch):
    """A module that is installed, as far as Python can tell, in a folder where no trace is left."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "strangers.py").write_text(STRANGERS)
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("strangers", None)


def built(name: str) -> nn.Module:
    blueprint = Blueprint(model=name, input_shape=(1, 8, 8), classes=("a", "b"), hyperparameters={"cmd": "touch trace"})
    return build_model(blueprint, torch.device("cpu"))


@pytest.mark.parametrize(
    ("key", "name", "said"),
    [
        ("sampler", "subprocess:Popen", "subprocess:Popen is Popen, not a class of optuna's BaseSampler"),
        ("sampler", "strangers:anything", "strangers:anything is a function, not a class of optuna's BaseSampler"),
        ("sampler", "optuna.pruners:NopPruner", "optuna.pruners:NopPruner is NopPruner, not a class of optuna's "
         "BaseSampler"),
        ("pruner", "subprocess:Popen", "subprocess:Popen is Popen, not a class of optuna's BasePruner"),
        ("pruner", "strangers:anything", "strangers:anything is a function, not a class of optuna's BasePruner"),
    ],
)  # fmt: skip
def test_a_sampler_or_pruner_is_not_called_before_it_is_known_to_be_one(key, name, said):
    arguments = {"args": ["touch", "trace"]}
    study = parse_study(*find_study("quickstart"), overrides={f"{key}.name": name, f"{key}.arguments": arguments})
    with pytest.raises(StudyFileError) as refused:
        build_sampler(study, 0) if key == "sampler" else build_pruner(study)
    assert str(refused.value) == f"{key}: {said}, so it is not called"
    assert not Path("trace").exists()


def test_installed_code_is_called_as_a_network_if_it_says_so_or_the_user_does():
    for name in ("subprocess:getoutput", "strangers:anything", "torch.hub:load"):
        with pytest.raises(StudyFileError) as refused:
            built(name)
        place = name.partition(":")[0]
        assert str(refused.value) == (
            f"model: {name} is not known to be a network, so it is not called; --trust {place} allows it"
        )
    assert not Path("trace").exists()
    assert isinstance(built("strangers:annotated"), nn.Flatten)
    assert isinstance(built("strangers:Network"), nn.Flatten)
    with trusting(["strangers"]):
        assert isinstance(built("strangers:anything"), nn.Flatten)
    with trusting(["subprocess"]), pytest.raises(ModelError, match="but returned a str"):
        built("subprocess:getoutput")


def test_installed_code_is_neither_objective_nor_data_set_before_the_user_says_so():
    with pytest.raises(StudyFileError) as refused:
        metric_of("strangers:anything", {})
    assert str(refused.value) == (
        "objective: strangers:anything is not known to be an objective, so it is not called; --trust strangers allows "
        "it"
    )
    study = parse_study(*find_study("quickstart"), overrides={"dataset": "strangers:anything"})
    with pytest.raises(StudyFileError) as refused:
        load_for(study, None, Listeners())
    assert str(refused.value) == (
        "dataset: strangers:anything is not known to be a data function, so it is not called; --trust strangers allows "
        "it"
    )
    assert not Path("trace").exists()
    with trusting(["strangers"]):
        assert metric_of("strangers:anything", {}) is not None


def test_trust_is_in_a_package_a_module_or_a_name_and_ends_with_the_command():
    with trusting(["nets.wide", "a:b"]), trusting(["more"]):
        trusted = ("net.py:x", "nets.wide:x", "nets.wide.deep:x", "a:b", "more:x")
        assert all(map(is_trusted, trusted))
        assert not any(map(is_trusted, ("nets:x", "nets.wider:x", "a:c", "b:b", "os:system")))
        assert trust_variable() == {"HW2TUNE_TRUST": "nets.wide,a:b,more"}
    assert trust_variable() == {}
    told = CliRunner().invoke(app, ["check", "./missing.toml", "--trust", "nets"])
    assert isinstance(told.exception, Hw2tuneError) and not os.environ.get("HW2TUNE_TRUST")


OWN = ("model", "dataset", "sampler", "pruner")


@pytest.fixture
def tracing(tmp_path) -> StudyFolder:
    """A finished study whose every module leaves a trace where it is imported."""
    folder = write_fake_study(tmp_path / "ray_results")
    study = tomllib.loads(folder.study_file.read_text())
    study |= {key: f"own.py:{key}" for key in ("model", "dataset")}
    study["sampler"]["name"], study["pruner"]["name"] = "own.py:sampler", "own.py:pruner"
    folder.study_file.write_text(tomli_w.dumps(study))
    folder.code.mkdir()
    trace = f"__import__('pathlib').Path({str(tmp_path / 'trace')!r}).touch()\n"
    (folder.code / "own.py").write_text(trace + "".join(f"def {key}(*a, **k): raise OSError\n" for key in OWN))
    return folder


PLACE = "ray_results/quickstart"
READING = [
    ["status"],
    ["status", "quickstart", "--json"],
    ["compare", "quickstart", "other"],
    ["stop", "quickstart"],
    ["clean", "quickstart", "--yes"],
    pytest.param(["summarize", "--from-files", PLACE], marks=pytest.mark.matrix),  # draws a report: seconds
]


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_runs_nothing_of_a_study(tracing, command):
    shutil.copytree(tracing.root, tracing.root.with_name("other"))
    told = CliRunner().invoke(app, command, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert not Path("trace").exists()


def test_the_dashboard_runs_nothing_of_a_study(tracing):
    shown = ShownFolders("ray_results", [])
    assert shown()
    assert [shown.storage.get_all_trials(one._study_id) for one in shown.storage.get_all_studies()]
    assert not Path("trace").exists()


@pytest.mark.parametrize("command", [["check", f"{PLACE}/study.toml"], ["rerun", "quickstart", "0"]])
def test_a_command_that_runs_a_study_runs_its_code(tracing, command):
    assert CliRunner().invoke(app, command).exit_code == 1
    assert Path("trace").exists()
