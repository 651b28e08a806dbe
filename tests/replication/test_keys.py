"""The key of a training: what its result depends on, and no more."""

from importlib import metadata
from types import SimpleNamespace

import pytest

from hw2tune.data.catalog import dataset_info
from hw2tune.replication.train import key_of
from hw2tune.resources import Capacity
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.task import Task

DATA = SimpleNamespace(checksum="sha256:1", split_checksum="sha256:2", info=dataset_info("mnist"))
CAPACITY = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs")


def key(given=None, **options):
    hyperparameters = Hyperparameters(learning_rate=0.1, batch_size=32, **({"optimizer": "sgd"} | (given or {})))
    task = {"model": "mnist_cnn", "loss": "cross_entropy", "objective": "validation_accuracy", **options}
    return key_of(Task(hyperparameters=hyperparameters, seed=1, max_epochs=2, **task), DATA, CAPACITY)


def test_replicates_of_version_83dc8fd_keep_their_key(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.15.0")
    assert key() == "60b788e0d087f4284bc9b7bb"


def test_trainings_that_were_given_what_their_optimizer_lacks_keep_their_key(monkeypatch):
    """As in the claim `with = { optimizer = "adam" }` on a winner with a momentum. Of commit 5d211c0."""
    monkeypatch.setattr(metadata, "version", lambda name: "2.15.0")
    assert key({"optimizer": "adam", "momentum": 0.9}) == "f6f8c8887887beab0592da7d"


@pytest.mark.parametrize("kind", ["model", "objective"])
def test_another_version_of_an_installed_package_is_another_training(kind, monkeypatch):
    installed = metadata.version
    before = key(**{kind: "pydantic.main:create_model"})
    monkeypatch.setattr(metadata, "version", lambda name: "9.9" if name == "pydantic" else installed(name))
    assert key(**{kind: "pydantic.main:create_model"}) != before


def test_an_own_file_counts_by_its_text_and_other_packages_do_not(monkeypatch):
    before, plain = key(model="net.py:Net", code={"net.py": "class Net: pass"}), key()
    assert before != key(model="net.py:Net", code={"net.py": "class Net: ..."})
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9.9" if name != "torch" else installed(name))
    assert key(model="net.py:Net", code={"net.py": "class Net: pass"}) == before and key() == plain
